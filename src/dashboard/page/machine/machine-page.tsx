/** One machine: where it stands and what leads on, its steps over time, its disks, what it says while it boots, its traces. */
import { useEffect, useRef } from 'react';
import { Link } from 'wouter';
import type { MachineDetail } from '../../api/machine.ts';
import type { RunSummary } from '../../api/run.ts';
import { ActionBar } from '../actions/action-bar.tsx';
import { Loading } from '../components/loading.tsx';
import { Notice, ProblemNotice } from '../components/notice.tsx';
import { PageHead } from '../components/page-head.tsx';
import { api } from '../data/api.ts';
import { useEvents } from '../data/use-events.ts';
import { useLive } from '../data/use-live.ts';
import { useResource } from '../data/use-resource.ts';
import { EventsPanel } from '../events/events-panel.tsx';
import { useBanner } from '../shell/link-banner.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { MACHINE_SIGNS } from '../status/words.ts';
import { BootPanel } from './boot-panel.tsx';
import { DisksPanel } from './disks-panel.tsx';
import { LedgerPanel } from './ledger-panel.tsx';
import { MachineFacts } from './machine-facts.tsx';
import styles from './machine-page.module.css';
import { TimelinePanel } from './timeline-panel.tsx';
import { TroubleNotice } from './trouble-notice.tsx';

const MOVING_MS = 3000;
const AT_REST_MS = 20_000;

export default function MachinePage({ run, machine }: { run: string; machine: string }) {
  const everyMs = useRef(MOVING_MS);
  const { value, problem, reload } = useResource(
    `machine ${run}/${machine}`,
    (signal) => api.machine({ run, machine }, signal),
    { everyMs: everyMs.current },
  );
  everyMs.current = value === null || isOnTheMove(value) ? MOVING_MS : AT_REST_MS;
  if (value !== null) return <Machine detail={value} onStale={reload} />;
  return (
    <>
      <PageHead title={machine} trail={<Trail run={run} />} />
      {problem === null ? (
        <Loading what="Fetching the machine …" />
      ) : (
        <ProblemNotice what={`${machine} cannot be shown.`} problem={problem} />
      )}
    </>
  );
}

function Machine({ detail, onStale }: { detail: MachineDetail; onStale: () => void }) {
  const { run } = detail;
  const live = useLive(run.id);
  useBanner(live);
  const { name } = detail.line;
  const line = live.machines?.find((each) => each.name === name) ?? detail.line;
  const zone = run.timezone;
  const events = useEvents({ run: run.id, machine: name });
  // What the stream does not bring is asked for as soon as it shows another state.
  const standing = `${line.status} ${line.stages.map(({ state, try: tries }) => state + tries).join()}`;
  const seen = useRef(standing);
  useEffect(() => {
    if (seen.current !== standing) onStale();
    seen.current = standing;
  }, [standing, onStale]);
  return (
    <>
      <PageHead
        title={name}
        trail={<Trail run={run.id} />}
        aside={live.run !== null && <MachineActions run={live.run} line={line} />}
      >
        <SignLabel sign={MACHINE_SIGNS[line.status]} isChip />
      </PageHead>
      <TroubleNotice detail={detail} line={line} />
      {detail.hold !== null && (
        <Notice
          tone="warn"
          shape="pause"
          title={`Held by ${detail.hold.by}${detail.hold.reason === null ? '.' : `: ${detail.hold.reason}`}`}
        />
      )}
      <MachineFacts detail={detail} line={line} />
      <div className={styles.columns}>
        <div className={styles.column}>
          <TimelinePanel steps={detail.steps} events={events.events ?? []} zone={zone} />
          <DisksPanel detail={detail} isMoving={line.status === 'moving'} />
        </div>
        <div className={styles.column}>
          <BootPanel detail={detail} />
        </div>
      </div>
      <LedgerPanel ledger={detail.ledger} zone={zone} />
      <EventsPanel list={events} zone={zone} about={name} />
    </>
  );
}

function MachineActions({ run, line }: { run: RunSummary; line: MachineDetail['line'] }) {
  return <ActionBar run={run} on={{ kind: 'machines', names: [line.name] }} machines={[line]} />;
}

function Trail({ run }: { run: string }) {
  return (
    <>
      <Link href="/">Runs</Link> / <Link href={`/runs/${encodeURIComponent(run)}`}>{run}</Link>
    </>
  );
}

function isOnTheMove({ line: { status } }: MachineDetail): boolean {
  return status === 'moving' || status === 'rolling-back';
}
