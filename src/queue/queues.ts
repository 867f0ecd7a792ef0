/**
 * The queues. BullMQ says what runs; what is true stands in the records. Jobs carry ids only, are tried once, and are
 * kept when they ended, because adding an id again must stay a no-op (facts: with removeOnComplete it would run again).
 */
import { type ConnectionOptions, type JobsOptions, Queue } from 'bullmq';
import { type Job, jobId, POOLS, type PoolName, poolOf, queueName } from '../domain/job.ts';
import { PREFIX } from '../state/keys.ts';
import { type RedisUrl, redisOptions } from '../state/redis.ts';

/** Every process that fires timers serves this queue; its jobs only say "look at this machine again". */
export const WAKE_QUEUE = 'wake';

/** Says when a machine was to be looked at (ms since the epoch, Redis's clock). */
export type WakeUp = { run: string; machine: string; at: number };

export type Queues = AsyncDisposable & {
  /** Adds jobs; those whose id exists are left as they are. */
  add(jobs: readonly Job[]): Promise<void>;
  /** missing: BullMQ does not know it; ended: completed or failed there; live: waiting, delayed or running. */
  look(job: Job): Promise<'missing' | 'live' | 'ended'>;
  remove(jobs: readonly Job[]): Promise<void>;
  /** Looks at a machine again at `at` (ms since the epoch). */
  wakeAt(wakeUp: WakeUp & { now: number }): Promise<void>;
};

/** One MULTI of this many jobs keeps Redis responsive (facts: 10,000 at once stalls it for 2 s). */
const BATCH = 50;

const KEEP: JobsOptions = { attempts: 1, removeOnComplete: false, removeOnFail: false };

export function queueConnection(url: RedisUrl): ConnectionOptions {
  // BullMQ's own copy of these types leaves `undefined` out of optional keys.
  return redisOptions(url) as ConnectionOptions;
}

export function openQueues(url: RedisUrl): Queues {
  const open = (name: string): Queue => {
    const queue = new Queue(name, { connection: queueConnection(url), prefix: PREFIX });
    queue.on('error', () => {});
    return queue;
  };
  const pools = Object.fromEntries(POOLS.map((pool) => [pool, open(queueName(pool, null))])) as Record<
    PoolName,
    Queue
  >;
  const wake = open(WAKE_QUEUE);
  const queueOf = (job: Job): Queue => pools[poolOf(job.stage)];

  return {
    async add(jobs) {
      for (const [queue, batch] of batches(jobs, queueOf)) {
        await queue.addBulk(
          batch.map((job) => ({ name: job.stage, data: job, opts: { ...KEEP, jobId: jobId(job) } })),
        );
      }
    },

    async look(job) {
      const found = await queueOf(job).getJob(jobId(job));
      if (found === undefined) return 'missing';
      return found.finishedOn === undefined ? 'live' : 'ended';
    },

    async remove(jobs) {
      for (const job of jobs) await queueOf(job).remove(jobId(job));
    },

    async wakeAt({ run, machine, at, now }) {
      const id = [run, encodeURIComponent(machine), 'wake', at].join('.');
      const delay = Math.max(0, at - now);
      await wake.add(
        'wake',
        { run, machine },
        { jobId: id, delay, removeOnComplete: true, removeOnFail: true },
      );
    },

    async [Symbol.asyncDispose]() {
      // Nothing is buffered here, and close() would wait for a Redis that is away.
      await Promise.all([...Object.values(pools), wake].map((queue) => queue.disconnect()));
    },
  };
}

function* batches(jobs: readonly Job[], queueOf: (job: Job) => Queue): Generator<[Queue, Job[]]> {
  const byQueue = Map.groupBy(jobs, queueOf);
  for (const [queue, all] of byQueue) {
    for (let i = 0; i < all.length; i += BATCH) yield [queue, all.slice(i, i + BATCH)];
  }
}
