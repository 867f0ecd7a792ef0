/**
 * A worker pool serves one stage's queue. Closing gives running jobs back within two seconds: their signals abort, they
 * leave what is durable, and the next worker goes on at once.
 */
import { type Job as BullJob, DelayedError, Worker } from 'bullmq';
import { type Job, jobId, type PoolName, queueName, stepKey } from '../domain/job.ts';
import { currentStep } from '../domain/machine-changes.ts';
import type { CurrentJob } from '../state/heartbeats.ts';
import { PREFIX } from '../state/keys.ts';
import type { StopSignal } from '../state/signals.ts';
import { within } from '../state/within.ts';
import { type AbortReason, type AttemptDeps, attemptStep } from './attempt.ts';
import { queueConnection } from './queues.ts';

/** With these, a killed worker's job goes on elsewhere after 11 s in the median and 19 s at most (facts: measured). */
export const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 5_000;
/** Counts over the job's whole life; the record owns tries. A job that stalls this often fails, and the reconciler replaces it. */
const MAX_STALLED = 20;
const CLOSE_MS = 1_500;
/** A stop signal that got lost must not let an upload go on for hours beside the rollback that waits for its end. */
const WATCH_MS = 5_000;

export type Pool = AsyncDisposable & {
  stage: PoolName;
  site: string | null;
  /** Steps at once, now. */
  readonly concurrency: number;
  /** Takes effect at once; what runs beyond a lower one ends. null: as it was started. */
  setConcurrency(concurrency: number | null): Promise<void>;
  /** What it does now. */
  jobs(): CurrentJob[];
  /** Ends the attempts at this machine's steps, but for a rollback's: that undoes what the others did. */
  stop(signal: StopSignal): void;
};

export type PoolOptions = AttemptDeps & {
  stage: PoolName;
  /** Whose machines it serves, where its stage is bound to a site; left out: those of no site. */
  site?: string | null;
  concurrency: number;
  /** What an operator said instead, before it was started; null or left out: nothing. */
  concurrencySet?: number | null;
  onError: (error: Error) => void;
  watchEveryMs?: number;
};

export async function startPool(options: PoolOptions): Promise<Pool> {
  const { stage, site = null, state, conductor, onError, watchEveryMs = WATCH_MS } = options;
  // Keyed by token: after a long outage a second run of a job can start while its first still lives.
  const running = new Map<string, { job: Job; since: number; controller: AbortController }>();
  const withdrawn = new Set<string>();

  let isClosing = false;

  const giveBack = async (
    bullJob: BullJob<Job>,
    token: string | undefined,
    afterMs: number,
  ): Promise<never> => {
    await bullJob.moveToDelayed(Date.now() + afterMs, token);
    throw new DelayedError();
  };

  const worker = new Worker<Job>(
    queueName(stage, site),
    async (bullJob, token) => {
      // Fetched while the worker was closing: nobody would abort it any more.
      if (isClosing) return await giveBack(bullJob, token, 1);
      const key = `${jobId(bullJob.data)} ${token}`;
      const controller = new AbortController();
      running.set(key, { job: bullJob.data, since: Date.now(), controller });
      try {
        const end = await attemptStep(options, { job: bullJob.data, signal: controller.signal });
        if (end.kind === 'later') await giveBack(bullJob, token, end.afterMs);
        if (end.kind === 'withdrawn') {
          // BullMQ reads it when the job ends.
          bullJob.opts.removeOnComplete = true;
          withdrawn.add(jobId(bullJob.data));
        }
      } finally {
        running.delete(key);
      }
    },
    {
      connection: queueConnection(state.url),
      prefix: PREFIX,
      concurrency: options.concurrencySet ?? options.concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: MAX_STALLED,
    },
  );
  worker.on('error', onError);
  // Its run may have been released before the job was gone, and then it could not be added.
  worker.on('completed', ({ data }) => {
    if (withdrawn.delete(jobId(data))) void conductor.look(data).catch(onError);
  });
  await worker.waitUntilReady();

  const abort = (isMeant: (job: Job) => boolean, reason: AbortReason): void => {
    for (const { job, controller } of running.values()) if (isMeant(job)) controller.abort(reason);
  };
  const endUnwanted = async (): Promise<void> => {
    for (const { job, controller } of running.values()) {
      const record = await state.machines.get(job.run, job.machine);
      if (record === null || currentStep(record, job) === null)
        controller.abort('stop' satisfies AbortReason);
    }
  };
  let isWatching = false;
  const watch = setInterval(async () => {
    // While Redis is away a look hangs: no other need queue behind it.
    if (isWatching) return;
    isWatching = true;
    await endUnwanted().catch(() => {});
    isWatching = false;
  }, watchEveryMs);
  return {
    stage,
    site,
    get concurrency() {
      return worker.concurrency;
    },
    async setConcurrency(set) {
      const concurrency = set ?? options.concurrency;
      const isMore = concurrency > worker.concurrency;
      worker.concurrency = concurrency;
      // A worker whose slots are all taken fetches nothing before one is free, however many it may have by now: this wakes it.
      if (!isMore || isClosing) return;
      await worker.pause(true);
      await worker.resume();
    },
    jobs: () =>
      [...running.values()].map(({ job, since }) => ({
        run: job.run,
        machine: job.machine,
        step: stepKey(job),
        try: job.try,
        since,
      })),
    stop: ({ run, machine }) =>
      abort((job) => job.run === run && job.machine === machine && job.stage !== 'rollback', 'stop'),
    async [Symbol.asyncDispose]() {
      isClosing = true;
      clearInterval(watch);
      const closed = worker.close();
      abort(() => true, 'shutdown');
      // No longer, where Redis is away or an attempt does not heed its signal: lock and lease run out by themselves.
      await within(CLOSE_MS, closed);
    },
  };
}
