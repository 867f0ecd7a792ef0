/** How a run stands as a whole, as lines: its window, its approval, who holds it and why, its groups. Pure. */
import { lastRollbackAt } from '../domain/advance-wave.ts';
import { isEnded, type RunCounts, type RunRecord } from '../domain/run-record.ts';
import { formatMoment, formatSpanUntil } from '../domain/zoned-time.ts';
import { describeSay } from '../operations/say.ts';
import { whyNothingStarts } from '../operations/stands-still.ts';

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
