/**
 * What can happen to a machine's record, as pure functions. Each returns the changed record, or null where the change
 * does not apply any more (a late job, a second delivery, an operator who was too late): then nothing is written.
 */
import type { ErrorCode, LandfallError, SavedError } from './errors.ts';
import { saveError } from './errors.ts';
import { type Job, retryDelayMs, stepKey } from './job.ts';
import { isAtRest, type MachineRecord, newSteps, type Step, type StepOutput } from './machine-record.ts';

/** A slot was granted: the machine starts to move. */
export function startMachine(record: MachineRecord, now: number): MachineRecord | null {
  if (record.status !== 'waiting') return null;
  return { ...record, status: 'moving', startedAt: record.startedAt ?? now };
}

/** The step that this job may do now; null when the job is not the record's current one. */
export function currentStep(record: MachineRecord, job: Job): Step | null {
  const step = record.steps[stepKey(job)];
  if (record.status !== 'moving' || step === undefined) return null;
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

export function cancelMachine(record: MachineRecord, now: number): MachineRecord | null {
  if (isAtRest(record.status)) return null;
  return { ...record, status: 'cancelled', endedAt: now };
}

/** An operator's retry: from the failed step on; from the first step where the machine was discarded. */
export function retryMachine(record: MachineRecord): MachineRecord | null {
  switch (record.status) {
    case 'waiting':
    case 'moving':
    case 'landed':
      return null;
    case 'discarded':
      return {
        ...restarted(record),
        ...NOTHING_MADE,
        steps: laterTries(newSteps(record.machine), record.steps),
      };
    case 'failed':
    case 'cancelled':
      return { ...restarted(record), steps: mapSteps(record.steps, unfinishedAgain) };
  }
}

/** What it made at the target was removed. */
export function markDiscarded(record: MachineRecord, now: number): MachineRecord | null {
  if (record.status === 'discarded' || !isAtRest(record.status)) return null;
  return { ...record, ...NOTHING_MADE, status: 'discarded', endedAt: now };
}

const NOTHING_MADE = { images: {}, prepared: {}, artifacts: {}, landing: null, proof: null } as const;

function restarted(record: MachineRecord): MachineRecord {
  return { ...record, status: 'waiting', error: null, endedAt: null, proof: null };
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

/** Fresh steps whose tries go on where the old ones ended. */
function laterTries(fresh: Record<string, Step>, old: Record<string, Step>): Record<string, Step> {
  return mapSteps(fresh, (step) => ({ ...step, try: unusedTry(old[stepKey(step)] ?? step) }));
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
    default:
      return output satisfies never;
  }
}

function mapSteps(steps: Record<string, Step>, change: (step: Step) => Step): Record<string, Step> {
  return Object.fromEntries(Object.entries(steps).map(([key, step]) => [key, change(step)]));
}
