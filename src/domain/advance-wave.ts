/** Decides, from counts and the clock alone, how a run stands and how many machines may start. Pure and total. */
import { nextWindow } from './next-window.ts';
import { isEnded, type RunCounts, type RunRecord, type RunStatus, type Say } from './run-record.ts';
import type { OverrunPolicy } from './wave.ts';

/** The little that a machine's decisions need to know of its run (at most 4 KB). */
export type WaveView = {
  /** False once the run is archived: then nothing is decided any more. */
  isLive: boolean;
  /** May a step of a machine on the move begin? Rollbacks always may. */
  isOpen: boolean;
  /** May a machine that waits begin? */
  mayStart: boolean;
  /** What its wave says of machines that are not proven, once its window has closed; null: it has not. */
  overrun: OverrunPolicy | null;
  /** Its window has closed and none follows: what has not started will not. */
  isOver: boolean;
  /** Tries of one step before it fails. */
  tries: number;
};

export type WaveAdvance = {
  record: RunRecord;
  view: WaveView;
  /** So many of the waiting machines, in the wave's order, may start now. */
  machinesToWake: number;
  /** When to look again even if nothing happens (ms since the epoch); null: only events matter. */
  wakeAt: number | null;
};

/** What a run waits for, or that its window is over. `closing`: what begins now could not go back within it. */
export type RunPhase = 'early' | 'unapproved' | 'open' | 'closing' | 'over';

export function phaseOf(run: Pick<RunRecord, 'wave' | 'window' | 'approval'>, now: number): RunPhase {
  const { wave, window, approval } = run;
  if (window !== null && now >= window.closesAt) return 'over';
  if (wave.isApprovalRequired && approval === null) return 'unapproved';
  if (window !== null && now < window.opensAt) return 'early';
  const last = lastRollbackAt(run);
  return last !== null && now >= last && wave.onOverrun === 'rollback' ? 'closing' : 'open';
}

/** The last moment from which a rollback still fits the window; null: there is no window. */
export function lastRollbackAt({ wave, window }: Pick<RunRecord, 'wave' | 'window'>): number | null {
  if (window === null || wave.window === null) return null;
  return window.closesAt - wave.window.rollbackSeconds * 1000;
}

/** Its window has closed, and none follows: only a person can open one again. */
export function isWindowOver(record: RunRecord, now: number): boolean {
  return phaseOf(record, now) === 'over' && nextOf(record, now) === null;
}

export function advanceWave(before: RunRecord, counts: RunCounts, now: number): WaveAdvance {
  const record = withGates(withNextWindow(before, counts, now), counts, now);
  const phase = phaseOf(record, now);
  const isLive = record.archivedAt === null;
  const isOver = isWindowOver(record, now);
  const status = statusOf({ counts, phase, isOver, hold: record.hold });
  const mayStart = isLive && record.hold === null && phase === 'open';
  const free = Math.max(0, record.wave.limits.machines - counts.moving);
  return {
    record: { ...record, status, endedAt: isEnded(status) ? (record.endedAt ?? now) : null },
    view: {
      isLive,
      isOpen: isLive && record.hold === null,
      mayStart,
      overrun: phase === 'over' ? record.wave.onOverrun : null,
      isOver,
      tries: record.wave.limits.tries,
    },
    machinesToWake: mayStart ? Math.min(free, counts.waiting) : 0,
    wakeAt: isLive && !isEnded(status) ? nextMoment(record, now) : null,
  };
}

/**
 * A recurring window comes again for those that have not started, once nothing moves from the last time that could still go
 * back for its sake.
 */
function withNextWindow(record: RunRecord, counts: RunCounts, now: number): RunRecord {
  return counts.waiting + counts.blocked === 0 ? record : (moveToNextWindow(record, counts, now) ?? record);
}

/** null: its window has not closed, does not come again, or machines still go back from it. */
export function moveToNextWindow(record: RunRecord, counts: RunCounts, now: number): RunRecord | null {
  const isIdle = record.wave.onOverrun === 'finish' || counts.moving + counts['rolling-back'] === 0;
  if (!isIdle || phaseOf(record, now) !== 'over') return null;
  const window = nextOf(record, now);
  return window === null ? null : { ...record, window };
}

function nextOf({ wave, window }: RunRecord, now: number) {
  if (wave.window === null || window === null) return null;
  return nextWindow(wave.window, Math.max(now, window.closesAt));
}

/** Holds the run once more machines of a group did not land than its gate lets pass. */
function withGates(before: RunRecord, counts: RunCounts, now: number): RunRecord {
  if (before.hold !== null) return before;
  const record = withFewerPassed(before, counts);
  for (const [group, { stopAfter }] of Object.entries(record.wave.groups)) {
    const of = counts.groups[group];
    if (stopAfter === null || of === undefined) continue;
    const { machines, troubled } = of;
    const allowed = 'failures' in stopAfter ? stopAfter.failures : (stopAfter.percent / 100) * machines;
    if (troubled <= allowed || troubled <= (record.passedFailures[group] ?? 0)) continue;
    const reason = `${troubled} of the ${machines} machines of group ${group} did not land`;
    return { ...record, hold: { by: `gate of ${group}`, at: now, reason } };
  }
  return record;
}

/** A failure that was let pass and is mended by now leaves no room for another. */
function withFewerPassed(record: RunRecord, { groups }: RunCounts): RunRecord {
  const passed = Object.entries(record.passedFailures);
  const left = passed.map(([group, seen]) => [group, Math.min(seen, groups[group]?.troubled ?? 0)] as const);
  const isSame = left.every(([, seen], index) => seen === passed[index]?.[1]);
  return isSame ? record : { ...record, passedFailures: Object.fromEntries(left) };
}

/** An operator lets the run go on: what has failed until now does not hold it again. */
export function releaseRun(record: RunRecord, counts: RunCounts): RunRecord | null {
  if (record.hold === null) return null;
  const passed = Object.entries(counts.groups).map(([group, { troubled }]) => [group, troubled] as const);
  return { ...record, hold: null, passedFailures: Object.fromEntries(passed) };
}

export function holdRun(record: RunRecord, say: Say): RunRecord | null {
  return record.hold === null ? { ...record, hold: say } : null;
}

/** An operator opens the window now, or lets it close at another time. What has not started by then has the wave's next one. */
export function openWindow(
  record: RunRecord,
  { now, closesAt }: { now: number; closesAt: number },
): RunRecord | null {
  if (record.window === null || closesAt <= now) return null;
  const opensAt = phaseOf(record, now) === 'over' ? now : Math.min(record.window.opensAt, now);
  if (opensAt === record.window.opensAt && closesAt === record.window.closesAt) return null;
  return { ...record, window: { opensAt, closesAt } };
}

export function approveRun(record: RunRecord, say: Say): RunRecord | null {
  return record.approval === null ? { ...record, approval: say } : null;
}

function statusOf(of: { counts: RunCounts; phase: RunPhase; isOver: boolean; hold: Say | null }): RunStatus {
  const { counts, phase, isOver, hold } = of;
  const underWay = counts.moving + counts['rolling-back'];
  if (underWay > 0) return hold === null ? 'running' : 'held';
  // Those that wait for others wait in vain where nothing is left that could land.
  if (counts.waiting > 0) {
    if (isOver) return 'running';
    if (phase !== 'open') return 'scheduled';
    return hold === null ? 'running' : 'held';
  }
  if (counts.held > 0) return 'held';
  const unlanded =
    counts.blocked + counts.failed + counts.cancelled + counts.discarded + counts['rolled-back'];
  if (unlanded === 0) return 'landed';
  if (counts.landed > 0) return 'partial';
  if (counts.failed > 0) return 'failed';
  return counts['rolled-back'] > 0 ? 'rolled-back' : 'cancelled';
}

function nextMoment(record: RunRecord, now: number): number | null {
  const { window } = record;
  if (window === null) return null;
  const moments = [window.opensAt, lastRollbackAt(record) ?? window.closesAt, window.closesAt];
  return moments.filter((at) => at > now).sort((a, b) => a - b)[0] ?? null;
}
