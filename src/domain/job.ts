/** A job names one try of one step. It carries ids only. */
import { createHash } from 'node:crypto';

export const STAGES = ['export', 'convert', 'upload', 'import', 'validate'] as const;
/** A stage has one queue and one worker pool. */
export type Stage = (typeof STAGES)[number];

export const STEP_STAGES = [...STAGES, 'admit'] as const;
/** What is done to a machine, in order. Admit is short and is served by the pool of validate. */
export type StepStage = (typeof STEP_STAGES)[number];

export type StepRef = {
  stage: StepStage;
  /** A disk's id for export and upload, null for the stages that take the whole machine. */
  disk: string | null;
  /** 0 is the full copy. */
  pass: number;
};

export type Job = StepRef & { run: string; machine: string; try: number };

export function stageOf(step: StepStage): Stage {
  return step === 'admit' ? 'validate' : step;
}

export function isPerDisk(stage: StepStage): boolean {
  return stage === 'export' || stage === 'upload';
}

/** `upload/0`, `import`: names a step within its machine's record. */
export function stepKey({ stage, disk, pass }: StepRef): string {
  const name = disk === null ? stage : `${stage}/${disk}`;
  return pass === 0 ? name : `${name}@${pass}`;
}

/** RUN.MACHINE.STAGE.DISK.PASS.TRY: the same for the same work, so adding a job twice is one job. BullMQ refuses `:`. */
export function jobId(job: Job): string {
  return [job.run, encodeURIComponent(job.machine), job.stage, job.disk ?? '-', job.pass, job.try].join('.');
}

/** `STAGE`, or `STAGE.SITE` where a source names a site. */
export function queueName(stage: Stage, site: string | null): string {
  return site === null ? stage : `${stage}.${site}`;
}

const FIRST_DELAY_MS = 2_000;
const MAX_DELAY_MS = 120_000;

/**
 * How long to wait before a step is tried again: 2 s, 4 s, 8 s … at most 2 min, each cut by up to a quarter. The
 * jitter comes from a hash of the job's id, so that the decision stays a pure function.
 */
export function retryDelayMs(job: Job): number {
  const full = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(job.try - 1, 16));
  const jitter = createHash('sha256').update(jobId(job)).digest().readUInt16BE(0) / 0xffff;
  return Math.round(full * (1 - jitter / 4));
}
