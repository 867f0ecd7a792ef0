/** Decides, from counts alone, how a run stands and how many machines may start. Pure and total. */
import type { MachineCounts, RunRecord, RunStatus } from './run-record.ts';

/** The little that a machine's decisions need to know of its run (at most 4 KB). */
export type WaveView = {
  /** May jobs be offered? False once the run is archived. */
  isOpen: boolean;
  /** Tries of one step before it fails. */
  tries: number;
};

export type WaveAdvance = {
  record: RunRecord;
  view: WaveView;
  /** So many of the waiting machines, in the wave's order, may start now. */
  machinesToWake: number;
};

export function advanceWave(record: RunRecord, counts: MachineCounts, now: number): WaveAdvance {
  const status = statusOf(counts);
  const endedAt = status === 'running' ? null : (record.endedAt ?? now);
  const isOpen = record.archivedAt === null;
  const free = Math.max(0, record.wave.limits.machines - counts.moving);
  return {
    record: { ...record, status, endedAt },
    view: { isOpen, tries: record.wave.limits.tries },
    machinesToWake: isOpen ? Math.min(free, counts.waiting) : 0,
  };
}

function statusOf(counts: MachineCounts): RunStatus {
  if (counts.waiting + counts.moving > 0) return 'running';
  const unlanded = counts.failed + counts.cancelled + counts.discarded;
  if (unlanded === 0) return 'landed';
  if (counts.landed > 0) return 'partial';
  return counts.failed > 0 ? 'failed' : 'cancelled';
}
