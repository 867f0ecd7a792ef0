/** Decides which jobs should exist for a machine. Pure and total; runs on every event of that machine and in the reconciler. */
import type { WaveView } from './advance-wave.ts';
import type { SavedError } from './errors.ts';
import { FLOW, type Job, type StepStage } from './job.ts';
import { cancelMachine, rollBackMachine } from './machine-changes.ts';
import { type MachineRecord, mayServe, type Step } from './machine-record.ts';

export type Advance = {
  record: MachineRecord;
  /** The jobs that should exist now. Adding one that exists changes nothing. */
  jobs: Job[];
  /** When to look again even if nothing happens (ms since the epoch); null: only events matter. */
  wakeAt: number | null;
};

export function advanceMachine(record: MachineRecord, wave: WaveView, now: number): Advance {
  if (!wave.isLive) return atRest(record);
  switch (record.status) {
    case 'moving':
      return advanceMove({ record, wave, now });
    case 'rolling-back':
      return advanceRollback({ record, now });
    case 'blocked':
    case 'waiting':
    case 'held':
      return advanceIdle({ record, wave, now });
    case 'landed':
    case 'failed':
    case 'cancelled':
    case 'discarded':
    case 'rolled-back':
      return atRest(record);
    default:
      return record.status satisfies never;
  }
}

type Looked = { record: MachineRecord; wave: WaveView; now: number };

function advanceMove({ record, wave, now }: Looked): Advance {
  const steps = Object.values(record.steps);
  const failed = steps.find((step) => step.stage !== 'rollback' && step.state === 'failed');
  if (failed !== undefined) return giveUp(record, { error: failed.error, now });
  if (wave.overrun === 'rollback' && !isProven(record)) return turnBack({ record, wave, now });
  const stage = FLOW.find((candidate) => !isStageDone(steps, candidate));
  if (stage === undefined) return atRest({ ...record, status: 'landed', endedAt: now });
  return wave.isOpen ? offerStage({ record, stage, now }) : atRest(record);
}

/** What becomes of a machine that failed is for its wave to say. */
function giveUp(record: MachineRecord, { error, now }: { error: SavedError | null; now: number }): Advance {
  const { onFailure } = record.plan;
  switch (onFailure) {
    case 'rollback':
      // It was in service, be it for a moment: what it took up there is for a person to give up.
      if (mayHaveServed(record, error)) return atRest({ ...record, status: 'held', error });
      return advanceRollback({ record: rollBackMachine(record, error) ?? record, now });
    case 'hold':
      return atRest({ ...record, status: 'held', error });
    case 'leave':
      return atRest({ ...record, status: 'failed', error, endedAt: now });
    default:
      return onFailure satisfies never;
  }
}

/** Of a job that vanished nobody knows how far it came. */
function mayHaveServed(record: MachineRecord, error: SavedError | null): boolean {
  return error?.context.isAdmitted === true || (error?.code === 'job-lost' && mayServe(record));
}

/** A way back is gone whether the run is held or its window closed. */
function advanceRollback({ record, now }: Omit<Looked, 'wave'>): Advance {
  const { rollback } = record.steps;
  if (rollback?.state === 'failed')
    return atRest({ ...record, status: 'failed', error: rollback.error, endedAt: now });
  if (rollback?.state === 'done') return atRest({ ...record, status: 'rolled-back', endedAt: now });
  return offerStage({ record, stage: 'rollback', now });
}

/**
 * The window closed over a machine on which nobody works: it goes back, or it was never touched and stays so. Where its wave
 * finishes what has begun, or it is proven and may have served, a person decides: no slot is given any more that it could
 * wait for.
 */
function advanceIdle({ record, wave, now }: Looked): Advance {
  const hasBegun = record.startedAt !== null;
  if (wave.overrun === 'rollback' && hasBegun && !isProven(record)) return turnBack({ record, wave, now });
  if (!wave.isOver) return atRest(record);
  if (hasBegun)
    return atRest(
      record.status === 'held' ? record : { ...record, status: 'held', error: windowClosed(record, wave) },
    );
  const cancelled = cancelMachine(record, now);
  return atRest(cancelled === null ? record : { ...cancelled, error: windowClosed(record, wave) });
}

function turnBack({ record, wave, now }: Looked): Advance {
  // Of one that failed before, that is what its operator wants to know.
  const back = rollBackMachine(record, record.error ?? windowClosed(record, wave));
  return back === null ? atRest(record) : advanceRollback({ record: back, now });
}

function isProven({ steps }: MachineRecord): boolean {
  return isStageDone(Object.values(steps), 'validate');
}

function windowClosed(record: MachineRecord, { isOver }: WaveView): SavedError {
  const { machine, startedAt, run } = record;
  const reopen = isOver ? `Open it again (\`landfall cutover ${run} --now --until 4h\`), then ` : '';
  const what =
    startedAt === null
      ? `before ${machine.name} had its turn; nothing was done to it. Give the wave a new window and run it again (\`landfall run --again\`)`
      : `before ${machine.name} was ${isProven(record) ? 'admitted' : 'proven'}. ${reopen}\`landfall retry ${run} ${machine.name}\` tries it again`;
  return {
    code: 'window-closed',
    message: `The window closed ${what}.`,
    retryable: false,
    context: { machine: machine.name },
  };
}

function offerStage(offer: { record: MachineRecord; stage: StepStage; now: number }): Advance {
  const { record, stage, now } = offer;
  const steps: Record<string, Step> = {};
  const jobs: Job[] = [];
  const waits: number[] = [];
  for (const [key, step] of Object.entries(record.steps)) {
    const isOffered = step.stage === stage && step.state !== 'done';
    steps[key] = isOffered && step.state === 'pending' ? { ...step, state: 'active' } : step;
    if (!isOffered) continue;
    if (step.notBefore !== null && step.notBefore > now) waits.push(step.notBefore);
    else jobs.push(jobFor(record, step));
  }
  return { record: { ...record, steps }, jobs, wakeAt: waits.length === 0 ? null : Math.min(...waits) };
}

function jobFor(record: MachineRecord, step: Step): Job {
  const { stage, disk, pass } = step;
  return { run: record.run, machine: record.machine.name, stage, disk, pass, try: step.try };
}

function isStageDone(steps: readonly Step[], stage: StepStage): boolean {
  return steps.every((step) => step.stage !== stage || step.state === 'done');
}

function atRest(record: MachineRecord): Advance {
  return { record, jobs: [], wakeAt: null };
}
