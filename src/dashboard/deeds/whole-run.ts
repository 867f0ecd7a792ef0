/** Actions on a run as a whole: approve, and open its window now. */
import { phaseOf } from '../../domain/advance-wave.ts';
import { isControlled, type MachineRecord } from '../../domain/machine-record.ts';
import type { RunRecord } from '../../domain/run-record.ts';
import { formatMoment, formatSpanUntil } from '../../domain/zoned-time.ts';
import { approveWholeRun, openWindowNow } from '../../operations/steer-run.ts';
import type { Preview } from '../api/action.ts';
import { type Deed, type DeedInput, machinesAre } from './deed.ts';
import { refusalOfLater } from './refusal.ts';
import { rehearse } from './rehearsal.ts';

const HOLD_STOPS = 'Holding the run stops more from beginning.';

export const approve: Deed = {
  async preview(of) {
    const { run, deps, all, now } = of;
    const refusal =
      run.approval === null || !run.wave.isApprovalRequired
        ? await refusalOfLater(() => approveWholeRun({ run, reason: null }, rehearse(deps)))
        : `Run ${run.id} is approved already, by ${run.approval.by}.`;
    const consequences = [
      describeStart(run, { all, now, verb: 'approved' }),
      'An approval cannot be taken back.',
      HOLD_STOPS,
    ];
    return { consequences, machines: [], refusal, isReversible: false };
  },
  async perform({ run, deps, reason }) {
    const { isChanged } = await approveWholeRun({ run, reason }, deps);
    const message = isChanged ? `Run ${run.id} is approved.` : `Run ${run.id} was approved already.`;
    return { message, changed: isChanged ? [run.id] : [] };
  },
};

export const cutover: Deed = {
  async preview(of) {
    const { run, deps, all, action, now } = of;
    const { closesAt } = action;
    const refusal = await refusalOfLater(() =>
      openWindowNow({ run, reason: null, closesAt }, rehearse(deps)),
    );
    const until = closesAt ?? run.window?.closesAt ?? null;
    const zone = run.wave.window?.timezone ?? 'UTC';
    const consequences = [
      describeMoves(run, all),
      ...(until === null || until <= now
        ? []
        : [
            `The window is open from now until ${formatMoment(until, zone)}, that is for ${formatSpanUntil(until - now)}.`,
          ]),
      ...describeStops(run),
      `${HOLD_STOPS} What was shut down runs again at its source once it is rolled back.`,
    ];
    return { consequences, machines: [], refusal, isReversible: false } satisfies Preview;
  },
  async perform({ run: before, deps, action, reason }) {
    const { run, isChanged } = await openWindowNow({ run: before, reason, closesAt: action.closesAt }, deps);
    const closes = formatMoment(run.window?.closesAt ?? 0, run.wave.window?.timezone ?? 'UTC');
    const message = isChanged
      ? `The window of ${run.id} is open now, until ${closes}.`
      : `The window of ${run.id} was open already, until ${closes}.`;
    return { message, changed: isChanged ? [run.id] : [] };
  },
};

/** What begins, and when. */
export function describeStart(
  run: RunRecord,
  { all, now, verb }: { all: readonly MachineRecord[]; now: number; verb: string },
): string {
  const { window, wave, hold } = run;
  const phase = phaseOf({ ...run, approval: run.approval ?? { by: '', at: 0, reason: null } }, now);
  if (verb === 'approved' && hold !== null) return 'Nothing moves before the run is released, too.';
  if (phase === 'open') return describeMoves(run, all);
  if (phase === 'early' && window !== null && wave.window !== null)
    return `Nothing moves before its window opens, ${formatMoment(window.opensAt, wave.window.timezone)}. ${describeMoves(run, all)}`;
  if (phase === 'closing') return 'Nothing begins any more in this window: its way back would not fit.';
  return 'Its window has closed: nothing begins before it is opened again.';
}

export function describeMoves({ wave }: RunRecord, all: readonly MachineRecord[]): string {
  const waiting = all.filter(({ status }) => status === 'waiting' || status === 'blocked');
  if (waiting.length === 0) return 'No machine waits for it.';
  const off = waiting.filter((record) => isControlled(record)).length;
  const atOnce = Math.min(wave.limits.machines, waiting.length);
  const what = off === 0 ? 'moved' : `shut down at ${off === 1 ? 'its' : 'their'} source and moved`;
  return `${machinesAre(waiting.length)} ${what}, at most ${atOnce} at once, in the order that the wave says.`;
}

/** What keeps machines from moving although the window is open. */
function describeStops({ hold, approval, wave }: DeedInput['run']): string[] {
  const stops: string[] = [];
  if (wave.isApprovalRequired && approval === null)
    stops.push('Nothing moves yet: the run waits for approval.');
  if (hold !== null) stops.push('Nothing moves yet: the run is held.');
  return stops;
}
