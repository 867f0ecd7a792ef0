/**
 * The queues. BullMQ says what runs; what is true stands in the records. Jobs carry ids only, are tried once, and are
 * kept when they ended, because adding an id again must stay a no-op (facts: with removeOnComplete it would run again).
 */
import { type ConnectionOptions, type JobsOptions, Queue } from 'bullmq';
import { type Job, jobId, type PoolRef, poolOf, queueName } from '../domain/job.ts';
import { PREFIX } from '../state/keys.ts';
import { type RedisUrl, redisOptions } from '../state/redis.ts';

/** Every process that fires timers serves this queue; its jobs only say "look at this machine again", or at the run. */
export const WAKE_QUEUE = 'wake';

/** Says when a machine, or its run as a whole (null), was to be looked at (ms since the epoch, Redis's clock). */
export type WakeUp = { run: string; machine: string | null; at: number };

/** `site`: of the machines that the jobs are about; left out: none. Site-bound pools have a queue per site. */
export type Queues = AsyncDisposable & {
  /** Adds jobs; those whose id exists are left as they are. */
  add(jobs: readonly Job[], site?: string | null): Promise<void>;
  /** missing: BullMQ does not know it; ended: completed or failed there; live: waiting, delayed or running. */
  look(job: Job, site?: string | null): Promise<'missing' | 'live' | 'ended'>;
  remove(jobs: readonly Job[], site?: string | null): Promise<void>;
  /** While it is paused no step of it begins, on any host; what runs ends. Idempotent. */
  setPaused(of: PoolRef, isPaused: boolean): Promise<void>;
  /** Counts only: it costs the same however long the queue is. */
  depth(of: PoolRef): Promise<QueueDepth>;
  /** Looks at a machine or a run again at `at` (ms since the epoch). */
  wakeAt(wakeUp: WakeUp & { now: number }): Promise<void>;
};

export type QueueDepth = { isPaused: boolean; active: number; waiting: number; delayed: number };

/** One MULTI of this many jobs keeps Redis responsive (facts: 10,000 at once stalls it for 2 s). */
const BATCH = 50;

const KEEP: JobsOptions = { attempts: 1, removeOnComplete: false, removeOnFail: false };

export function queueConnection(url: RedisUrl): ConnectionOptions {
  // BullMQ's own copy of these types leaves `undefined` out of optional keys.
  return redisOptions(url) as ConnectionOptions;
}

export function openQueues(url: RedisUrl): Queues {
  const opened = new Map<string, Queue>();
  const open = (name: string): Queue => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, { connection: queueConnection(url), prefix: PREFIX });
    queue.on('error', () => {});
    opened.set(name, queue);
    return queue;
  };
  const queueOf = (job: Job, site: string | null): Queue => open(queueName(poolOf(job.stage), site));

  return {
    async add(jobs, site = null) {
      for (const [queue, batch] of batches(jobs, (job) => queueOf(job, site))) {
        const [only] = batch;
        if (batch.length === 1 && only !== undefined) await queue.add(only.stage, only, optionsOf(only));
        else await queue.addBulk(batch.map((job) => ({ name: job.stage, data: job, opts: optionsOf(job) })));
      }
    },

    async look(job, site = null) {
      const found = await queueOf(job, site).getJob(jobId(job));
      if (found === undefined) return 'missing';
      return found.finishedOn === undefined ? 'live' : 'ended';
    },

    async remove(jobs, site = null) {
      for (const job of jobs) await queueOf(job, site).remove(jobId(job));
    },

    async setPaused({ pool, site }, isPaused) {
      const queue = open(queueName(pool, site));
      if ((await queue.isPaused()) === isPaused) return;
      if (isPaused) await queue.pause();
      else await queue.resume();
    },

    async depth({ pool, site }) {
      const queue = open(queueName(pool, site));
      const [isPaused, counts] = await Promise.all([
        queue.isPaused(),
        queue.getJobCounts('active', 'waiting', 'prioritized', 'delayed'),
      ]);
      const { active = 0, waiting = 0, prioritized = 0, delayed = 0 } = counts;
      return { isPaused, active, waiting: waiting + prioritized, delayed };
    },

    async wakeAt({ run, machine, at, now }) {
      const of = machine === null ? [run] : [run, encodeURIComponent(machine)];
      const delay = Math.max(0, at - now);
      await open(WAKE_QUEUE).add(
        'wake',
        { run, machine, at },
        { jobId: [...of, 'wake', at].join('.'), delay, removeOnComplete: true, removeOnFail: true },
      );
    },

    async [Symbol.asyncDispose]() {
      // Nothing is buffered here, and close() would wait for a Redis that is away.
      await disconnectQueues(opened.values());
    },
  };
}

/** To a Redis that is away there was no connection, which BullMQ takes for a failure. */
export async function disconnectQueues(queues: Iterable<Queue>): Promise<void> {
  await Promise.allSettled([...queues].map((queue) => queue.disconnect()));
}

function optionsOf(job: Job): JobsOptions {
  return { ...KEEP, jobId: jobId(job) };
}

function* batches(jobs: readonly Job[], queueOf: (job: Job) => Queue): Generator<[Queue, Job[]]> {
  const byQueue = Map.groupBy(jobs, queueOf);
  for (const [queue, all] of byQueue) {
    for (let i = 0; i < all.length; i += BATCH) yield [queue, all.slice(i, i + BATCH)];
  }
}
