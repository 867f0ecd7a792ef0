/** One run: will it make its window, what comes after what, how fast it goes, and every machine stage by stage. */
import { useMemo } from 'react';
import { Link } from 'wouter';
import type { RunDetail, RunSummary } from '../../api/run.ts';
import { ActionBar } from '../actions/action-bar.tsx';
import { Loading } from '../components/loading.tsx';
import { ProblemNotice } from '../components/notice.tsx';
import { PageHead } from '../components/page-head.tsx';
import { api } from '../data/api.ts';
import { useNow } from '../data/clock.ts';
import { useLive } from '../data/use-live.ts';
import { useResource } from '../data/use-resource.ts';
import { MachineShares } from '../runs/machine-shares.tsx';
import { RunHeadline } from '../runs/run-headline.tsx';
import { RunNotices } from '../runs/run-notices.tsx';
import { useBanner } from '../shell/link-banner.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { RUN_SIGNS } from '../status/words.ts';
import { DependencyPanel } from './dependency-panel.tsx';
import { MachineGrid } from './machine-grid.tsx';
import { ThroughputPanel } from './throughput-panel.tsx';
import styles from './wave-page.module.css';
import { WindowPanel } from './window-panel.tsx';

export default function WavePage({ run: id }: { run: string }) {
  // What is not there is not watched: the stream begins when the run was found.
  const { value, problem } = useResource(`run ${id}`, (signal) => api.run(id, signal));
  if (value !== null) return <Wave detail={value} />;
  return (
    <>
      <PageHead title={id} trail={TRAIL} />
      {problem === null ? (
        <Loading what="Fetching the run …" />
      ) : (
        <ProblemNotice what={`Run ${id} cannot be shown.`} problem={problem} />
      )}
    </>
  );
}

const TRAIL = <Link href="/">Runs</Link>;

function Wave({ detail }: { detail: RunDetail }) {
  const live = useLive(detail.run.id);
  useBanner(live);
  const gates = useGates(detail);
  const run = live.run ?? detail.run;
  const machines = live.machines ?? detail.machines;
  return (
    <>
      <PageHead
        title={run.id}
        tabTitle={run.troubled === 0 ? run.id : `(${run.troubled} in trouble) ${run.id}`}
        trail={TRAIL}
        aside={<ActionBar run={run} on={{ kind: 'run' }} machines={machines} />}
      >
        <SignLabel sign={RUN_SIGNS[run.status]} isChip />
        <span className={styles.from}>{originOf(run)}</span>
      </PageHead>
      <Head run={run} />
      <div className={styles.panels}>
        <WindowPanel run={run} />
        <ThroughputPanel run={run} />
        <DependencyPanel run={run.id} machines={machines} gates={gates} />
      </div>
      <MachineGrid run={run} machines={machines} />
    </>
  );
}

function originOf({ wave, source, target, plannedBy, approval }: RunSummary): string {
  return [
    `wave ${wave}`,
    `${source} to ${target}`,
    ...(plannedBy === null ? [] : [`planned by ${plannedBy}`]),
    ...(approval?.given == null ? [] : [`approved by ${approval.given.by}`]),
  ].join(', ');
}

/** Ticks each second by itself: the grid below does not. */
function Head({ run }: { run: RunSummary }) {
  const now = useNow();
  return (
    <div className={styles.head}>
      <RunHeadline run={run} now={now} />
      <MachineShares run={run} />
      <RunNotices run={run} />
    </div>
  );
}

/** When the run is held, by group. */
function useGates({ groups }: RunDetail): ReadonlyMap<string, string> {
  return useMemo(
    () => new Map(groups.flatMap(({ name, gate }) => (gate === null ? [] : [[name, gate] as const]))),
    [groups],
  );
}
