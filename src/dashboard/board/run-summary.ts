/** A run as lists show it. Pure. */
import { basename } from 'node:path';
import { lastRollbackAt } from '../../domain/advance-wave.ts';
import type { RunCounts, RunRecord } from '../../domain/run-record.ts';
import { describePaused, type PausedPool } from '../../operations/pool-control.ts';
import { describeSayWithoutTime } from '../../operations/say.ts';
import { describeUnserved, type Unserved } from '../../operations/served-pools.ts';
import { whyNothingStarts } from '../../operations/stands-still.ts';
import type { Estimate, RunDetail, RunSummary } from '../api/run.ts';
import type { Totals } from './run-totals.ts';

export type RunStanding = {
  run: RunRecord;
  counts: RunCounts;
  /** Of all its machines together. */
  totals: Totals;
  unserved: readonly Unserved[];
  paused: readonly PausedPool[];
  estimate: Estimate;
  now: number;
};

export function summarizeRun({
  run,
  counts,
  totals,
  unserved,
  paused,
  estimate,
  now,
}: RunStanding): RunSummary {
  const { wave, approval } = run;
  const { groups: _groups, ...byStatus } = counts;
  return {
    id: run.id,
    wave: wave.name,
    file: basename(wave.file),
    status: run.status,
    source: wave.source.site === null ? wave.source.kind : `${wave.source.kind} at ${wave.source.site}`,
    target: wave.target.kind,
    createdAt: run.createdAt,
    endedAt: run.endedAt,
    archivedAt: run.archivedAt,
    plannedBy: run.plannedBy,
    window: showWindow(run),
    counts: byStatus,
    troubled: totals.troubled,
    standsStill: whyNothingStarts(run, now, describeSayWithoutTime),
    unserved: [...unserved.map(describeUnserved), ...paused.map(describePaused)].map(sentences),
    hold: run.hold,
    approval: wave.isApprovalRequired
      ? { given: approval, byAnother: wave.isApprovalByAnother === true }
      : null,
    doneBytes: totals.doneBytes,
    totalBytes: totals.totalBytes,
    bytesPerSecond: totals.bytesPerSecond,
    estimate,
  };
}

export function showGroups({ wave }: RunRecord, { groups }: RunCounts): RunDetail['groups'] {
  return Object.entries(wave.groups).map(([name, { stopAfter }]) => {
    const count = groups[name] ?? { machines: 0, landed: 0, troubled: 0 };
    return { name, ...count, gate: stopAfter === null ? null : describeGate(stopAfter) };
  });
}

function describeGate(stopAfter: { failures: number } | { percent: number }): string {
  const many = 'failures' in stopAfter ? String(stopAfter.failures) : `${stopAfter.percent} %`;
  return `The run is held when more than ${many} of them do not land.`;
}

function showWindow(run: RunRecord): RunSummary['window'] {
  const rollbackBy = lastRollbackAt(run);
  if (run.window === null || run.wave.window === null || rollbackBy === null) return null;
  const { opensAt, closesAt } = run.window;
  return { opensAt, closesAt, rollbackBy, timezone: run.wave.window.timezone };
}

function sentences({ message, remedy }: { message: string; remedy: string }): string {
  return `${message}. ${remedy}`;
}
