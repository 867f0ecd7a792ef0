/** One machine of a run as a line of its grid. Pure. */
import { STEP_STAGES, type StepStage } from '../../domain/job.ts';
import { isUnderWay, type MachineRecord, type Step } from '../../domain/machine-record.ts';
import { machineLine } from '../../operations/machine-line.ts';
import { describeSayWithoutTime } from '../../operations/say.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import type { MachineLine, StageCell } from '../api/run.ts';
import { showError } from './saved-error.ts';

/** `progress`: of this machine's steps. */
export function showMachine(
  record: MachineRecord,
  { progress, now }: { progress: readonly StepProgress[]; now: number },
): MachineLine {
  const line = machineLine(record, { progress, now }, describeSayWithoutTime);
  const { machine, plan, status, error, landing } = record;
  return {
    name: machine.name,
    position: record.position,
    group: plan.group,
    after: [...plan.after],
    status,
    stages: showStages(record, now),
    ...bytesOf(record, line),
    bytesPerSecond: line.bytesPerSecond,
    etaMs: line.etaMs,
    note: line.note,
    error: error === null ? null : showError(error),
    isTroubled: isTroubling(record),
    landing: landing?.id ?? null,
    committedAt: record.committedAt,
    startedAt: record.startedAt,
    endedAt: record.endedAt,
  };
}

/** What an operator looks at first: it failed, waits for a decision because it did, or goes back. */
export function isTroubling({ status, error }: Pick<MachineRecord, 'status' | 'error'>): boolean {
  return status === 'failed' || status === 'rolling-back' || (status === 'held' && error !== null);
}

/** While nothing moves: what was uploaded, so that what is done reads as done. */
function bytesOf(
  { artifacts, prepared, machine, status }: MachineRecord,
  line: { doneBytes: number; totalBytes: number; zeroBytes: number },
): Pick<MachineLine, 'doneBytes' | 'totalBytes' | 'zeroBytes'> {
  const { doneBytes, totalBytes, zeroBytes } = line;
  if (totalBytes > 0 && isUnderWay(status)) return { doneBytes, totalBytes, zeroBytes };
  const known = machine.disks.flatMap(({ id, bytes }) => {
    const dataBytes = prepared[id]?.dataBytes;
    return dataBytes === undefined ? [] : [{ bytes, dataBytes, isDone: artifacts[id] !== undefined }];
  });
  const total = sum(known.map(({ dataBytes }) => dataBytes));
  return {
    doneBytes: sum(known.map(({ dataBytes, isDone }) => (isDone ? dataBytes : 0))),
    totalBytes: total,
    zeroBytes: sum(known.map(({ bytes, dataBytes }) => Math.max(0, bytes - dataBytes))),
  };
}

function showStages({ steps }: MachineRecord, now: number): StageCell[] {
  const byStage = Map.groupBy(Object.values(steps), ({ stage }) => stage);
  return STEP_STAGES.flatMap((stage) => {
    const of = byStage.get(stage);
    return of === undefined ? [] : [showStage(stage, of, now)];
  });
}

function showStage(stage: StepStage, steps: readonly Step[], now: number): StageCell {
  const starts = steps.flatMap(({ startedAt }) => startedAt ?? []);
  const ends = steps.flatMap(({ endedAt }) => endedAt ?? []);
  const state = stateOf(steps, now);
  return {
    stage,
    state,
    try: Math.max(...steps.map((step) => step.try)),
    startedAt: starts.length === 0 ? null : Math.min(...starts),
    endedAt: state === 'done' || state === 'failed' ? Math.max(...ends) : null,
  };
}

/** A step that nobody has begun, or that waits for its next try, works on nothing. */
function stateOf(steps: readonly Step[], now: number): StageCell['state'] {
  if (steps.some(({ state }) => state === 'failed')) return 'failed';
  if (steps.every(({ state }) => state === 'done')) return 'done';
  const active = steps.filter(({ state }) => state === 'active');
  if (active.length === 0) return steps.some(({ state }) => state === 'done') ? 'waiting' : 'pending';
  return active.some(({ startedAt, notBefore }) => startedAt !== null && (notBefore ?? 0) <= now)
    ? 'active'
    : 'waiting';
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
