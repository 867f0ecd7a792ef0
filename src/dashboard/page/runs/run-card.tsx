/** A run that lives: the sentence, what it stands on, and what an operator must know. */
import type { RunSummary } from '../../api/run.ts';
import { Facts } from '../components/facts.tsx';
import { Moment } from '../components/moment.tsx';
import { SignLabel } from '../status/sign-label.tsx';
import { RUN_SIGNS } from '../status/words.ts';
import { urgencyOf } from '../view/run-order.ts';
import { formatBytes, formatClock, formatRate, percentOf } from '../view/sizes.ts';
import { MachineShares } from './machine-shares.tsx';
import styles from './run-card.module.css';
import { RunHeadline } from './run-headline.tsx';
import { RunNotices } from './run-notices.tsx';

const NEEDS_EYES = 3;

export function RunCard({ run, now }: { run: RunSummary; now: number }) {
  const percent = percentOf(run.doneBytes, run.totalBytes);
  return (
    <article className={styles.card} data-urgent={urgencyOf(run) <= NEEDS_EYES} aria-label={`Run ${run.id}`}>
      <RunHeadline run={run} now={now} isLink />
      <div className={styles.signs}>
        <SignLabel sign={RUN_SIGNS[run.status]} isChip />
        <span>
          wave {run.wave}, {run.source} to {run.target}
        </span>
      </div>
      <MachineShares run={run} />
      <RunNotices run={run} />
      <Facts
        facts={[
          ...windowFacts(run, now),
          ['Moved', `${formatBytes(run.doneBytes)} of ${formatBytes(run.totalBytes)} (${percent} %)`],
          ['Rate', run.bytesPerSecond === 0 ? 'nothing moves now' : formatRate(run.bytesPerSecond)],
        ]}
      />
    </article>
  );
}

function windowFacts({ window, estimate }: RunSummary, now: number): (readonly [string, React.ReactNode])[] {
  const ends = estimate.endsAt;
  const zone = window?.timezone ?? null;
  const expected =
    ends === null ? [] : [['Expected end', <Moment key="ends" at={ends} zone={zone} />] as const];
  if (window === null) return expected;
  const isOpen = now >= window.opensAt;
  const [title, at] = isOpen
    ? (['Window closes', window.closesAt] as const)
    : (['Window opens', window.opensAt] as const);
  const left = at - now;
  return [
    [isOpen ? 'Left in the window' : 'Until the window', left > 0 ? formatClock(left) : 'closed'],
    [title, <Moment key="window" at={at} zone={zone} />],
    ...expected,
  ];
}
