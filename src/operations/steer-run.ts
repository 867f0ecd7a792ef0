/** What operators say of a run as a whole: hold, release, approve, and that its window is open now. Idempotent. */
import {
  approveRun,
  holdRun,
  isWindowOver,
  lastRollbackAt,
  openWindow,
  releaseRun,
} from '../domain/advance-wave.ts';
import { LandfallError } from '../domain/errors.ts';
import { isBarredFromApproving, isEnded, type RunRecord } from '../domain/run-record.ts';
import { formatMoment, formatSpanUntil } from '../domain/zoned-time.ts';
import type { RunChange } from '../queue/conductor.ts';
import { operatorEvent, sayNow } from './operator.ts';
import type { SteerDeps } from './steer.ts';

export type RunAction = { run: RunRecord; reason: string | null };

/** `isChanged` is false where it was so already. */
export type RunSaid = { run: RunRecord; isChanged: boolean };

/** Nothing starts and no step begins any more; what runs ends. Throws `conflict` for a run that has ended. */
export async function holdWholeRun({ run, reason }: RunAction, deps: SteerDeps): Promise<RunSaid> {
  refuseEnded(run, 'held');
  const say = await sayNow(deps.state, { by: deps.by, reason });
  const change: RunChange = (record) => holdRun(record, say);
  return sayOfRun({ run, reason, action: 'hold', change }, deps);
}

/** Failures of its groups that were seen until now do not hold it again. */
export async function releaseWholeRun({ run, reason }: RunAction, deps: SteerDeps): Promise<RunSaid> {
  refuseArchived(run);
  return sayOfRun({ run, reason, action: 'release', change: releaseRun }, deps);
}

/** Throws `conflict` where nothing is to be approved, and where somebody else than `by` must do it. */
export async function approveWholeRun({ run, reason }: RunAction, deps: SteerDeps): Promise<RunSaid> {
  if (!run.wave.isApprovalRequired)
    throw refused(run, `wave ${run.wave.name} asks for no approval (\`approval: required\` in its file)`);
  if (run.approval !== null) return { run, isChanged: false };
  refuseEnded(run, 'approved');
  if (isWindowOver(run, await deps.state.clock.now()))
    throw refused(
      run,
      `its window has closed. Open it with \`landfall cutover ${run.id} --now --until 4h\`, then approve it`,
    );
  if (isBarredFromApproving(run, deps.by))
    throw refused(
      run,
      `${deps.by} planned it, and wave ${run.wave.name} wants it approved by somebody else (\`approval: by-another\` in its file)`,
    );
  const say = await sayNow(deps.state, { by: deps.by, reason });
  return sayOfRun({ run, reason, action: 'approve', change: (record) => approveRun(record, say) }, deps);
}

/**
 * Opens the window now; it closes when it would have, or at `closesAt`. Throws `conflict` where there is no window, and
 * `usage` where it would close too soon.
 */
export async function openWindowNow(
  { run, reason, closesAt }: RunAction & { closesAt: number | null },
  deps: SteerDeps,
): Promise<RunSaid> {
  // An ended run, too: what failed in it is retried once its window is open.
  refuseArchived(run);
  const now = await deps.state.clock.now();
  const until = closesAt ?? closingAsPlanned(run, now);
  refuseShortWindow(run, { now, until });
  const change: RunChange = (record, _counts, at) => openWindow(record, { now: at, closesAt: until });
  const { timezone } = windowOf(run);
  const isOpen = run.window !== null && now >= run.window.opensAt;
  if (isOpen && run.window?.closesAt === until) return { run, isChanged: false };
  const action = `cutover --now --until ${formatMoment(until, timezone)}`;
  return sayOfRun({ run, reason, action, change }, deps);
}

/** Throws `conflict` where the run's machines may move at any time. */
export function windowOf(run: RunRecord): { timezone: string; rollbackSeconds: number } {
  if (run.wave.window !== null) return run.wave.window;
  throw refused(run, 'its wave has no window: its machines move at any time');
}

type SaidOfRun = RunAction & { action: string; change: RunChange };

async function sayOfRun({ run, reason, action, change }: SaidOfRun, deps: SteerDeps): Promise<RunSaid> {
  // One commit: who did it is never told without the deed, nor the deed without who did it.
  const event = operatorEvent({ run: run.id, machine: null, action, by: deps.by, reason });
  const changed = await deps.conductor.changeRun(run.id, change, [event]);
  return { run: changed ?? (await deps.state.runs.get(run.id)) ?? run, isChanged: changed !== null };
}

function closingAsPlanned(run: RunRecord, now: number): number {
  windowOf(run);
  if (run.window !== null && run.window.closesAt > now) return run.window.closesAt;
  throw new LandfallError({
    code: 'usage',
    message: `The window of ${run.id} has closed. Say until when it is to be open now: \`landfall cutover ${run.id} --now --until 4h\`.`,
    context: { run: run.id },
  });
}

function refuseShortWindow(run: RunRecord, { now, until }: { now: number; until: number }): void {
  const { timezone, rollbackSeconds } = windowOf(run);
  const window = { opensAt: now, closesAt: until };
  if ((lastRollbackAt({ wave: run.wave, window }) ?? 0) > now) return;
  throw new LandfallError({
    code: 'usage',
    message: `The window of ${run.id} cannot close at ${formatMoment(until, timezone)}: a rollback takes ${formatSpanUntil(rollbackSeconds * 1000)}, which would not fit any more. Give a later --until.`,
    context: { run: run.id },
  });
}

function refuseArchived(run: RunRecord): void {
  if (run.archivedAt !== null) throw refused(run, 'it is archived');
}

function refuseEnded(run: RunRecord, done: string): void {
  refuseArchived(run);
  if (isEnded(run.status))
    throw refused(
      run,
      `it has ended (${run.status}) and cannot be ${done}. \`landfall retry ${run.id} --failed\` goes on with what failed`,
    );
}

function refused(run: RunRecord, why: string): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Nothing was done to run ${run.id}: ${why}.`,
    context: { run: run.id },
  });
}
