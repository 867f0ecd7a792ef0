/**
 * What can happen to a machine's record, as pure functions. Each returns the changed record, or null where the change
 * does not apply any more (a late job, a second delivery, an operator who was too late): then nothing is written.
 */
import type { ErrorCode, LandfallError, SavedError } from './errors.ts';
import { saveError } from './errors.ts';
import { type Job, retryDelayMs, stepKey } from './job.ts';
import {
  isAtRest,
  isControlled,
  type MachineRecord,
  newSteps,
  type Step,
  type StepOutput,
} from './machine-record.ts';

/** A machine or a group landed: those that came after it wait for one less. */
export function unblockMachine(record: MachineRecord, landed: string): MachineRecord | null {
  if (!record.after.includes(landed)) return null;
  const after = record.after.filter((name) => name !== landed);
  const isFree = record.status === 'blocked' && after.length === 0;
  return { ...record, after, status: isFree ? 'waiting' : record.status };
}

/** A slot was granted: the machine starts to move. */
export function startMachine(record: MachineRecord, now: number): MachineRecord | null {
  if (record.status !== 'waiting') return null;
  return { ...record, status: 'moving', startedAt: record.startedAt ?? now };
}

/** The step that this job may do now; null when the job is not the record's current one. */
export function currentStep(record: MachineRecord, job: Job): Step | null {
  const step = record.steps[stepKey(job)];
  const status = job.stage === 'rollback' ? 'rolling-back' : 'moving';
  if (record.status !== status || step === undefined) return null;
  return step.state === 'active' && step.try === job.try ? step : null;
}

export function beginStep(record: MachineRecord, job: Job, now: number): MachineRecord | null {
  const step = currentStep(record, job);
  if (step === null || step.startedAt !== null) return null;
  return withStep(record, { ...step, startedAt: now });
}

export function finishStep(
  record: MachineRecord,
  { job, output, now }: { job: Job; output: StepOutput; now: number },
): MachineRecord | null {
  const step = currentStep(record, job);
  if (step === null) return null;
  const done: Step = { ...step, state: 'done', endedAt: now, notBefore: null, error: null };
  return withOutput(withStep(record, done), output);
}

/** A try failed: the next one is due after a growing delay, or the step has failed for good. */
export function failStep(
  record: MachineRecord,
  { job, error, now, tries }: { job: Job; error: LandfallError; now: number; tries: number },
): MachineRecord | null {
  const step = currentStep(record, job);
  if (step === null) return null;
  return withStep(record, nextTry({ step, job, error: saveError(error), now, tries }));
}

/** BullMQ finished or dropped a job that the record still wants: another try, without a delay. */
export function replaceLostJob(
  record: MachineRecord,
  { job, now, tries }: { job: Job; now: number; tries: number },
): MachineRecord | null {
  const step = currentStep(record, job);
  if (step === null) return null;
  const error: SavedError = {
    code: 'job-lost',
    message: `The job for ${stepKey(job)} of ${job.machine} ended without a result (its worker died too often, or it was removed from the queue).`,
    retryable: true,
    context: { try: job.try },
  };
  const replaced = nextTry({ step, job, error, now, tries });
  return withStep(record, { ...replaced, notBefore: null });
}

/** What was turned off stays off, and what was made stays there: rollback and discard see to that. */
export function cancelMachine(record: MachineRecord, now: number): MachineRecord | null {
  const isOpen = !isAtRest(record.status) || record.status === 'held';
  if (!isOpen || record.status === 'rolling-back') return null;
  return { ...record, status: 'cancelled', hold: null, endedAt: now };
}

/** Pauses a machine where it is; what it is in the middle of goes on from there when it is released. */
export function holdMachine(record: MachineRecord): MachineRecord | null {
  if (record.status !== 'blocked' && record.status !== 'waiting' && record.status !== 'moving') return null;
  return { ...record, status: 'held' };
}

export function releaseMachine(record: MachineRecord): MachineRecord | null {
  return record.status === 'held' ? restarted(record, mapSteps(record.steps, unfinishedAgain)) : null;
}

/**
 * An operator's retry: from the failed step on; from the first step where nothing is left of what was made; the rollback
 * where that is what failed.
 */
export function retryMachine(record: MachineRecord): MachineRecord | null {
  switch (record.status) {
    case 'blocked':
    case 'waiting':
    case 'moving':
    case 'rolling-back':
    case 'landed':
      return null;
    case 'discarded':
      return { ...restarted(record, freshSteps(record)), ...NOTHING_MADE };
    case 'rolled-back':
      return { ...restarted(record, freshSteps(record)), ...NOTHING_MADE, startedAt: null };
    case 'failed':
      if (record.steps.rollback?.state === 'failed') return rollBackMachine(record, record.error);
      return restarted(record, mapSteps(record.steps, unfinishedAgain));
    case 'held':
    case 'cancelled':
      return restarted(record, mapSteps(record.steps, unfinishedAgain));
    default:
      return record.status satisfies never;
  }
}

/**
 * The same with one of its disks exported and uploaded once more, also where that was done: what the others made stays.
 * Only while nothing was imported: an import is made of all disks together.
 */
export function retryDisk(record: MachineRecord, disk: string): MachineRecord | null {
  const { status, steps, images, prepared, artifacts } = record;
  const mayRetry = status === 'failed' || status === 'held' || status === 'cancelled';
  if (!mayRetry || hasBegunImport(record) || steps.rollback?.state === 'failed') return null;
  const isOfDisk = (step: Step): boolean => step.disk === disk || step.stage === 'convert';
  const again = mapSteps(steps, (step) =>
    unfinishedAgain(isOfDisk(step) && step.state === 'done' ? { ...step, state: 'failed' } : step),
  );
  const without = <T>(made: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(made).filter(([id]) => id !== disk));
  return {
    ...restarted(record, again),
    images: without(images),
    prepared: without(prepared),
    artifacts: without(artifacts),
  };
}

/** Something may have been made of its artifacts. */
export function hasBegunImport({ steps }: Pick<MachineRecord, 'steps'>): boolean {
  return steps.import !== undefined && (steps.import.state !== 'pending' || steps.import.try > 1);
}

/**
 * The way back: the landing goes, and the source is turned on again if it was turned off. `error`: why; null where an
 * operator wanted it. Not after a commit; whether a landing that was in service may be lost is for the caller to know.
 */
export function rollBackMachine(record: MachineRecord, error: SavedError | null): MachineRecord | null {
  const { status, steps, startedAt, committedAt } = record;
  if (startedAt === null || committedAt !== null || status === 'rolling-back' || status === 'rolled-back')
    return null;
  const { rollback } = steps;
  if (rollback === undefined) return null;
  return {
    ...record,
    status: 'rolling-back',
    error,
    hold: null,
    endedAt: null,
    steps: { ...steps, rollback: unfinishedAgain(rollback) },
  };
}

/** From now on the landing is the machine. */
export function commitMachine(record: MachineRecord, now: number): MachineRecord | null {
  if (record.status !== 'landed' || record.committedAt !== null) return null;
  return { ...record, committedAt: now };
}

/** What it made at the target was removed. */
export function markDiscarded(record: MachineRecord, now: number): MachineRecord | null {
  if (record.status === 'discarded' || !isAtRest(record.status)) return null;
  return { ...record, ...NOTHING_MADE, status: 'discarded', endedAt: now };
}

/** What a record says of a machine of which nothing is left at the target. */
export const NOTHING_MADE = { images: {}, prepared: {}, artifacts: {}, landing: null, proof: null } as const;

function restarted(record: MachineRecord, steps: Record<string, Step>): MachineRecord {
  const status = record.after.length > 0 ? 'blocked' : 'waiting';
  const proof = steps.validate?.state === 'done' ? record.proof : null;
  return { ...record, status, steps, error: null, hold: null, endedAt: null, proof };
}

function unfinishedAgain(step: Step): Step {
  if (step.state === 'done') return step;
  const again = {
    state: 'pending',
    try: unusedTry(step),
    notBefore: null,
    startedAt: null,
    error: null,
  } as const;
  return { ...step, ...UNTROUBLED, ...again };
}

/** All of them again, with tries that go on where the old ones ended. */
function freshSteps(record: MachineRecord): Record<string, Step> {
  const fresh = newSteps(record.machine, isControlled(record));
  return mapSteps(fresh, (step) => ({ ...step, try: unusedTry(record.steps[stepKey(step)] ?? step) }));
}

/** Job ids never repeat; of a step that is pending no job was ever made with its try. */
function unusedTry(step: Step): number {
  return step.state === 'pending' ? step.try : step.try + 1;
}

function nextTry(failed: { step: Step; job: Job; error: SavedError; now: number; tries: number }): Step {
  const { step, job, error, now, tries } = failed;
  const before = hasRecovered(step, now) ? { ...step, ...UNTROUBLED } : step;
  const isOutage = OUTAGES.has(error.code);
  const failures = before.failures + (isOutage ? 0 : 1);
  const outages = before.outages + (isOutage ? 1 : 0);
  const troubledSince = before.troubledSince ?? now;
  const troubled: Step = { ...step, failures, outages, troubledSince, failedAt: now, error };
  const isOver = !error.retryable || failures >= tries || now - troubledSince > MAX_OUTAGE_MS;
  if (isOver) return { ...troubled, state: 'failed', endedAt: now };
  const notBefore = now + retryDelayMs({ ...job, try: failures + outages });
  return { ...troubled, try: step.try + 1, notBefore };
}

/**
 * An outage is nobody's mistake and ends by itself: failing four hundred machines for it would cost the night. So is a
 * full staging folder: machines that land give their room back.
 */
const OUTAGES: ReadonlySet<ErrorCode> = new Set([
  'source-unavailable',
  'target-unavailable',
  'evidence-unavailable',
  'no-space',
]);

/** After so long without an answer a person must look. */
const MAX_OUTAGE_MS = 6 * 3_600_000;

/** A step that worked for so long since its last failure is well again: blips in a long upload do not add up. */
const RECOVERED_MS = 10 * 60_000;

const UNTROUBLED = { failures: 0, outages: 0, troubledSince: null, failedAt: null } as const;

function hasRecovered(step: Step, now: number): boolean {
  return step.failedAt !== null && now - Math.max(step.failedAt, step.notBefore ?? 0) > RECOVERED_MS;
}

function withStep(record: MachineRecord, step: Step): MachineRecord {
  return { ...record, steps: { ...record.steps, [stepKey(step)]: step } };
}

function withOutput(record: MachineRecord, output: StepOutput): MachineRecord {
  switch (output.stage) {
    case 'export':
      return { ...record, images: { ...record.images, [output.disk]: output.image } };
    case 'convert':
      return { ...record, prepared: output.prepared };
    case 'upload':
      return { ...record, artifacts: { ...record.artifacts, [output.disk]: output.artifact } };
    case 'import':
    case 'admit':
      return { ...record, landing: output.landing };
    case 'validate':
      return { ...record, proof: output.proof };
    case 'shutdown':
      return record;
    case 'rollback':
      return { ...record, ...NOTHING_MADE };
    default:
      return output satisfies never;
  }
}

function mapSteps(steps: Record<string, Step>, change: (step: Step) => Step): Record<string, Step> {
  return Object.fromEntries(Object.entries(steps).map(([key, step]) => [key, change(step)]));
}
