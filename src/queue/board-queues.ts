/** The queues as those see them who only look: nothing is written to them, not even that somebody looked. */
import { Queue } from 'bullmq';
import { type PoolRef, queueName } from '../domain/job.ts';
import { PREFIX } from '../state/keys.ts';
import type { RedisUrl } from '../state/redis.ts';
import { disconnectQueues, queueConnection, WAKE_QUEUE } from './queues.ts';

export type BoardQueues = AsyncDisposable & {
  /** Of these pools, and that of timers. The same queue is the same object. */
  list(pools: readonly PoolRef[]): readonly Queue[];
};

export function openBoardQueues(url: RedisUrl): BoardQueues {
  const opened = new Map<string, Queue>();
  const open = (name: string): Queue => {
    const known = opened.get(name);
    if (known !== undefined) return known;
    const connection = queueConnection(url);
    const queue = new Queue(name, { connection, prefix: PREFIX, skipMetasUpdate: true });
    queue.on('error', () => {});
    opened.set(name, queue);
    return queue;
  };
  return {
    list(pools) {
      const names = pools.map(({ pool, site }) => queueName(pool, site));
      return [...new Set([...names, WAKE_QUEUE])].map(open);
    },
    [Symbol.asyncDispose]: () => disconnectQueues(opened.values()),
  };
}
