/** Time left in the window beside the time that is still needed, and what that estimate rests on. */
import type { RunSummary } from '../../api/run.ts';
import { Facts } from '../components/facts.tsx';
import { Moment } from '../components/moment.tsx';
import { Panel } from '../components/panel.tsx';
import { Sentence } from '../components/sentence.tsx';
import { useNow } from '../data/clock.ts';
import { SignLabel } from '../status/sign-label.tsx';
import { isOver, VERDICT_SIGNS } from '../status/words.ts';
import { formatBytes, formatClock, formatDuration, formatRate } from '../view/sizes.ts';
import { clip, placeOf } from '../view/timeline.ts';
import styles from './window-panel.module.css';

export function WindowPanel({ run }: { run: RunSummary }) {
  const now = useNow();
  const { window, estimate } = run;
  const isLive = !isOver(run);
  return (
    <Panel
      title="Window"
      aside={isLive && window !== null && <SignLabel sign={VERDICT_SIGNS[estimate.verdict]} isChip />}
    >
      <div className={styles.content}>
        {window === null ? (
          <p>This run has no window: machines move at any time.</p>
        ) : (
          <>
            <div className={styles.times}>
              <Figure name="left in the window" value={leftOf(window, now)} />
              {isLive && (
                <Figure
                  name="still needed"
                  value={estimate.endsAt === null ? 'not known' : formatClock(estimate.endsAt - now)}
                />
              )}
            </div>
            <WindowBar run={run} now={now} />
          </>
        )}
        <Facts facts={factsOf(run)} />
        {isLive && estimate.because.length > 0 && (
          <details className={styles.reasons} open>
            <summary>What the estimate rests on</summary>
            <ul>
              {estimate.because.map((sentence) => (
                <li key={sentence}>
                  <Sentence text={sentence} />
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </Panel>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <p className={styles.figure}>
      <strong>{value}</strong> <span>{name}</span>
    </p>
  );
}

function WindowBar({ run: { window, estimate, status }, now }: { run: RunSummary; now: number }) {
  if (window === null) return null;
  const ends = isOver({ status }) ? null : estimate.endsAt;
  const span = {
    from: window.opensAt,
    to: Math.max(window.closesAt, ends ?? 0, Math.min(now, window.closesAt)),
  };
  const past = clip({ from: window.opensAt, to: now }, span);
  const needed = ends === null ? null : clip({ from: Math.max(now, window.opensAt), to: ends }, span);
  const noWayBack = clip({ from: window.rollbackBy, to: window.closesAt }, span);
  const { tone } = VERDICT_SIGNS[estimate.verdict];
  const box = (part: { left: number; width: number }): { left: string; width: string } => ({
    left: `${part.left * 100}%`,
    width: `${part.width * 100}%`,
  });
  return (
    <div className={styles.bar} aria-hidden="true">
      <span className={styles.open} style={{ width: `${placeOf(window.closesAt, span) * 100}%` }} />
      {noWayBack !== null && <span className={styles.late} style={box(noWayBack)} />}
      {past !== null && <span className={styles.past} style={box(past)} />}
      {needed !== null && <span className={styles.needed} data-tone={tone} style={box(needed)} />}
    </div>
  );
}

function leftOf({ opensAt, closesAt }: NonNullable<RunSummary['window']>, now: number): string {
  if (now < opensAt) return `opens in ${formatDuration(opensAt - now)}`;
  return now < closesAt ? formatClock(closesAt - now) : 'closed';
}

function factsOf(run: RunSummary): (readonly [string, React.ReactNode])[] {
  const { window, estimate, endedAt, createdAt } = run;
  const zone = window?.timezone ?? null;
  const moment = (at: number): React.ReactNode => <Moment at={at} zone={zone} />;
  return [
    ...(window === null
      ? ([['Started', moment(createdAt)]] as const)
      : ([
          ['Opens', moment(window.opensAt)],
          ['Closes', moment(window.closesAt)],
          ['Last moment for a rollback', moment(window.rollbackBy)],
        ] as const)),
    ...(endedAt === null ? [] : ([['Ended', moment(endedAt)]] as const)),
    ...(isOver(run) || estimate.endsAt === null
      ? []
      : ([['Expected end', moment(estimate.endsAt)]] as const)),
    ...(isOver(run) ? [] : ([['Left to move', leftToMove(estimate)]] as const)),
  ];
}

function leftToMove({ bytesLeft, bytesPerSecond }: RunSummary['estimate']): string {
  return `${formatBytes(bytesLeft)}${bytesPerSecond === 0 ? '' : ` at ${formatRate(bytesPerSecond)}`}`;
}
