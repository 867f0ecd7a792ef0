/**
 * One attempt at one step: take the lease, run the stage, commit the outcome. Safe on second delivery (a job that the
 * record no longer wants returns at once) and after a kill at any point (the record was not committed, so the step is
 * done again, and stages find what the earlier attempt made).
 */
import { plannedRate } from '../domain/bandwidth-plan.ts';
import { asLandfallError, LandfallError } from '../domain/errors.ts';
import { type Job, stepKey } from '../domain/job.ts';
import { currentStep, failStep, finishStep } from '../domain/machine-changes.ts';
import type { MachineRecord, StepOutput } from '../domain/machine-record.ts';
import type { StepContext, StepOutcome } from '../domain/ports.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { acquireLease, type Lease } from '../state/lease.ts';
import type { KnownRecord } from '../state/machine-store.ts';
import type { State } from '../state/state.ts';
import type { Conductor } from './conductor.ts';
import { createProgressReporter } from './progress-reporter.ts';
import { openStepContext } from './step-context.ts';

/** What a stage does; the composition root gives it source, target and evidence. */
export type RunStep = (work: {
  run: RunRecord;
  record: MachineRecord;
  job: Job;
  context: StepContext;
}) => Promise<StepOutcome<StepOutput>>;

export type AttemptEnd =
  | { kind: 'ended' }
  /** Give the worker slot back and deliver the same job again later. */
  | { kind: 'later'; afterMs: number }
  /** Its run is held: take the job out of its queue, so that it can be offered again; then look at the machine. */
  | { kind: 'withdrawn' };

/** Why an attempt's signal aborted. */
export type AbortReason = 'shutdown' | 'stop';

export type AttemptDeps = { state: State; conductor: Conductor; runStep: RunStep };

/** Two redeliveries must not spin. */
const LEASE_POLL_FLOOR_MS = 250;

export async function attemptStep(
  deps: AttemptDeps,
  { job, signal }: { job: Job; signal: AbortSignal },
): Promise<AttemptEnd> {
  const { state, conductor } = deps;
  const known = await state.machines.standing({ run: job.run, machine: job.machine });
  if (known === null || known.record === null) return { kind: 'ended' };
  if (currentStep(known.record, job) === null) {
    // A second delivery. Its first may have been killed between commit and adding what follows.
    await conductor.look(job);
    return { kind: 'ended' };
  }
  const reply = await acquireLease(state.redis, { run: job.run, machine: job.machine, step: stepKey(job) });
  if (reply.kind === 'taken')
    return { kind: 'later', afterMs: Math.max(LEASE_POLL_FLOOR_MS, reply.freeInMs) };
  await using lease = reply.lease;
  const begin = await conductor.begin(job, { lease, known });
  if (begin.kind !== 'begun') return begin;
  const { run, record, last } = begin;
  return await attemptUnderLease(deps, {
    run,
    record,
    last,
    job,
    lease,
    signal: AbortSignal.any([signal, lease.signal]),
    stop: signal,
  });
}

type Attempt = {
  run: RunRecord;
  record: MachineRecord;
  /** As this attempt committed it at its begin; null where an earlier delivery began. */
  last: KnownRecord | null;
  job: Job;
  lease: Lease;
  signal: AbortSignal;
  stop: AbortSignal;
};

async function attemptUnderLease(deps: AttemptDeps, attempt: Attempt): Promise<AttemptEnd> {
  const { state, conductor, runStep } = deps;
  const { run, record, job, lease, signal } = attempt;
  const progress = createProgressReporter(state, job);
  const { machine } = job;
  const step = stepKey(job);
  const context = openStepContext({
    state,
    run: run.id,
    machine,
    step,
    lease,
    signal,
    report: progress.report,
    plannedRate: () => plannedRate(run.wave.limits, Date.now()),
  });
  try {
    const outcome = await runStep({ run, record, job, context });
    if (outcome.kind === 'wait') progress.note(outcome.note);
    progress.end();
    if (outcome.kind === 'wait') return { kind: 'later', afterMs: outcome.afterMs };
    lease.signal.throwIfAborted();
    const output = outcome.value;
    await conductor.end(job, attempt, (before, _view, now) => finishStep(before, { job, output, now }));
    return { kind: 'ended' };
  } catch (thrown) {
    return await endFailedAttempt(deps, attempt, thrown);
  } finally {
    if (lease.signal.aborted) progress.stop();
    else progress.end();
  }
}

async function endFailedAttempt(deps: AttemptDeps, attempt: Attempt, thrown: unknown): Promise<AttemptEnd> {
  const { job, lease, stop } = attempt;
  if (stop.aborted) return await endStoppedAttempt(deps, job, stop.reason as AbortReason);
  const error = described(asLandfallError(thrown), job);
  if (lease.signal.aborted || error.code === 'lease-lost')
    return { kind: 'later', afterMs: LEASE_POLL_FLOOR_MS };
  await deps.conductor.end(job, attempt, (before, view, now) =>
    failStep(before, { job, error, now, tries: view.tries }),
  );
  return { kind: 'ended' };
}

/** A stop signal may come late, after an operator's retry: only the record says whether this job is still wanted. */
async function endStoppedAttempt({ state }: AttemptDeps, job: Job, reason: AbortReason): Promise<AttemptEnd> {
  if (reason === 'shutdown') return { kind: 'later', afterMs: 1 };
  const record = await state.machines.get(job.run, job.machine);
  const isWanted = record !== null && currentStep(record, job) !== null;
  return isWanted ? { kind: 'later', afterMs: 1 } : { kind: 'ended' };
}

/** Names machine and step where a failure came from code that does not know them. */
function described(error: LandfallError, job: Job): LandfallError {
  if (error.code !== 'internal') return error;
  return new LandfallError({
    code: 'internal',
    message: `${stepKey(job)} of ${job.machine} failed unexpectedly: ${error.message}`,
    retryable: error.retryable,
    cause: error.cause ?? error,
  });
}
