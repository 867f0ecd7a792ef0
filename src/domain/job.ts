/** A job names one try of one step. It carries ids only. */
import { createHash } from 'node:crypto';

export const STAGES = ['export', 'convert', 'upload', 'import', 'validate'] as const;
/** What happens to a machine's bytes. */
export type Stage = (typeof STAGES)[number];

/** In order: a source that runs is shut down first, and a proven landing is admitted last. */
export const FLOW = ['shutdown', ...STAGES, 'admit'] as const;

export const STEP_STAGES = [...FLOW, 'rollback'] as const;
/** What is done to a machine. `rollback` undoes the others. */
export type StepStage = (typeof STEP_STAGES)[number];

/**
 * Each has a queue and a worker pool of its own. `power` serves what a cutover does at the source and at its end, shutdown,
 * admit and rollback: at the end of a window that must not stand behind the copies of whole disks.
 */
export const POOLS = [...STAGES, 'power'] as const;
export type PoolName = (typeof POOLS)[number];

/** One queue: of a pool, and of a site where its work is bound to one. */
export type PoolRef = { pool: PoolName; site: string | null };

export type StepRef = {
  stage: StepStage;
  /** A disk's id for export and upload, null for the stages that take the whole machine. */
  disk: string | null;
  /** 0 is the full copy. */
  pass: number;
};

export type Job = StepRef & { run: string; machine: string; try: number };

/** The pool that serves a step. Admit asks the source once more whether it is off. */
export function poolOf(step: StepStage): PoolName {
  switch (step) {
    case 'shutdown':
    case 'admit':
    case 'rollback':
      return 'power';
    default:
      return step;
  }
}

/** Must its workers reach the source, or what lies in its site's staging? */
export function isSiteBound(pool: PoolName): boolean {
  return pool !== 'import' && pool !== 'validate';
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

/** `POOL`, or `POOL.SITE` where a source names a site and the pool's work is bound to it. */
export function queueName(pool: PoolName, site: string | null): string {
  return site === null || !isSiteBound(pool) ? pool : `${pool}.${site}`;
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
