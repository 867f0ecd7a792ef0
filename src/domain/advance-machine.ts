/** Decides which jobs should exist for a machine. Pure and total; runs on every event of that machine and in the reconciler. */
import type { WaveView } from './advance-wave.ts';
import { type Job, STEP_STAGES, type StepStage } from './job.ts';
import type { MachineRecord, Step } from './machine-record.ts';

export type Advance = {
  record: MachineRecord;
  /** The jobs that should exist now. Adding one that exists changes nothing. */
  jobs: Job[];
  /** When to look again even if nothing happens (ms since the epoch); null: only events matter. */
  wakeAt: number | null;
};

export function advanceMachine(record: MachineRecord, wave: WaveView, now: number): Advance {
  if (record.status !== 'moving' || !wave.isOpen) return { record, jobs: [], wakeAt: null };
  const steps = Object.values(record.steps);
  const failed = steps.find((step) => step.state === 'failed');
  if (failed !== undefined) return atRest({ ...record, status: 'failed', error: failed.error, endedAt: now });
  const stage = STEP_STAGES.find((candidate) => !isStageDone(steps, candidate));
  if (stage === undefined) return atRest({ ...record, status: 'landed', endedAt: now });
  return offerStage({ record, stage, now });
}

function offerStage({
  record,
  stage,
  now,
}: {
  record: MachineRecord;
  stage: StepStage;
  now: number;
}): Advance {
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
