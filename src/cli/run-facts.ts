/** How a run stands as a whole, as lines: its window, its approval, who holds it and why, its groups. Pure. */
import { isWindowOver, lastRollbackAt, phaseOf } from '../domain/advance-wave.ts';
import { isEnded, type RunCounts, type RunRecord, type Say } from '../domain/run-record.ts';
import { formatMoment, formatSpanUntil } from '../domain/zoned-time.ts';
import { formatTime } from './format.ts';

/** `ada@ops at 17:43:01 (change 4711)`. */
export function describeSay(say: Say | null, now: number = Date.now()): string {
  if (say === null) return 'nobody';
  return `${say.by} at ${formatTime(say.at, now)}${say.reason === null ? '' : ` (${say.reason})`}`;
}

/** None where the run's machines move at any time. */
export function describeWindow(run: RunRecord, now: number): string[] {
  const { window, wave } = run;
  if (window === null || wave.window === null) return [];
  const { timezone } = wave.window;
  const { opensAt, closesAt } = window;
  const span = `${formatMoment(opensAt, timezone)} to ${formatMoment(closesAt, timezone)}`;
  const line = `Window: ${span}: ${describePhase(run, now)}`;
  const last = lastRollbackAt(run);
  if (last === null || now >= closesAt || isEnded(run.status)) return [line];
  const left = last > now ? `in ${formatSpanUntil(last - now)}` : 'passed';
  return [line, `Last moment from which a rollback fits: ${formatMoment(last, timezone)} (${left})`];
}

function describePhase({ window }: RunRecord, now: number): string {
  if (window === null) return 'open';
  if (now < window.opensAt) return `opens in ${formatSpanUntil(window.opensAt - now)}`;
  return now < window.closesAt ? `open, ${formatSpanUntil(window.closesAt - now)} left` : 'closed';
}

/** Why no machine starts now; null: nothing stands in the way, or all is over. */
export function whyNothingStarts(run: RunRecord, now: number): string | null {
  const { id, hold, window, wave } = run;
  if (run.archivedAt !== null || isEnded(run.status)) return null;
  if (hold !== null) return `Held by ${describeSay(hold, now)}. \`landfall release ${id}\` lets it go on.`;
  const phase = phaseOf(run, now);
  const opens =
    window === null || wave.window === null || now >= window.opensAt
      ? ''
      : `opens ${formatMoment(window.opensAt, wave.window.timezone)}, in ${formatSpanUntil(window.opensAt - now)}`;
  switch (phase) {
    case 'open':
      return null;
    case 'early':
      return `Waits for its window: ${opens}. \`landfall cutover ${id} --now\` opens it at once.`;
    case 'unapproved':
      return `Waits for approval${describeApprover(run)}: \`landfall approve ${id}\`.${opens === '' ? '' : ` Its window ${opens}.`}`;
    case 'over':
      return isWindowOver(run, now)
        ? `Its window has closed. \`landfall cutover ${id} --now --until 4h\` opens it again.`
        : 'Its window has closed; what has not started waits for the next one.';
    default:
      return phase satisfies never;
  }
}

/** ` by somebody else than ann@ops, who planned it`; nothing where anybody may. */
function describeApprover({ wave, plannedBy }: RunRecord): string {
  if (wave.isApprovalByAnother !== true) return '';
  return ` by somebody else than ${plannedBy ?? 'whoever'}${plannedBy === null ? ' planned it' : ', who planned it'}`;
}

export function describeRun(run: RunRecord, counts: RunCounts, now: number): string[] {
  const { wave, approval } = run;
  const lines = describeWindow(run, now);
  const why = whyNothingStarts(run, now);
  if (wave.isApprovalRequired && approval !== null) lines.push(`Approved by ${describeSay(approval, now)}`);
  if (why !== null) lines.push(why);
  return [...lines, ...describeGroups(run, counts)];
}

function describeGroups({ wave, passedFailures }: RunRecord, { groups }: RunCounts): string[] {
  return Object.entries(wave.groups).flatMap(([name, { stopAfter }]) => {
    const count = groups[name];
    if (count === undefined) return [];
    const troubled = count.troubled === 0 ? '' : `, ${count.troubled} did not`;
    const gate =
      stopAfter === null
        ? ''
        : `; the run is held when more than ${'failures' in stopAfter ? stopAfter.failures : `${stopAfter.percent} %`} do not`;
    const passed = passedFailures[name] ?? 0;
    const seen = passed === 0 ? '' : ` (${passed} of them let pass)`;
    return [`Group ${name}: ${count.landed} of ${count.machines} landed${troubled}${seen}${gate}`];
  });
}
