/** The queues as those see them who only look: nothing is written to them, not even that somebody looked. */
import { Queue } from 'bullmq';
import { isSiteBound, POOLS, type PoolName, queueName } from '../domain/job.ts';
import { PREFIX } from '../state/keys.ts';
import type { RedisUrl } from '../state/redis.ts';
import { queueConnection, WAKE_QUEUE } from './queues.ts';

export type QueueDepth = {
  pool: PoolName;
  site: string | null;
  /** Also those of a pool that is paused. */
  waiting: number;
  active: number;
  delayed: number;
};

export type BoardQueues = AsyncDisposable & {
  /** Of all pools, at no site and at each of these, and that of timers. The same queue is the same object. */
  list(sites: readonly string[]): readonly Queue[];
  depths(sites: readonly string[]): Promise<QueueDepth[]>;
};

export function openBoardQueues(url: RedisUrl): BoardQueues {
  const opened = new Map<string, Queue>();
  const open = (name: string): Queue => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, {
      connection: queueConnection(url),
      prefix: PREFIX,
      skipMetasUpdate: true,
    });
    queue.on('error', () => {});
    opened.set(name, queue);
    return queue;
  };
  return {
    list: (sites) => [...places(sites).map(({ name }) => open(name)), open(WAKE_QUEUE)],
    depths: (sites) =>
      Promise.all(
        places(sites).map(async ({ name, pool, site }) => {
          const counts = await open(name).getJobCounts('waiting', 'active', 'delayed');
          const { waiting = 0, active = 0, delayed = 0 } = counts;
          return { pool, site, waiting, active, delayed };
        }),
      ),
    async [Symbol.asyncDispose]() {
      await Promise.all([...opened.values()].map((queue) => queue.disconnect()));
    },
  };
}

function places(sites: readonly string[]): { name: string; pool: PoolName; site: string | null }[] {
  return POOLS.flatMap((pool) => {
    const at = isSiteBound(pool) ? [null, ...sites] : [null];
    return at.map((site) => ({ name: queueName(pool, site), pool, site }));
  });
}
