/** Which workers live, what they serve and which `${env:NAME}` they can resolve. */
import type { Redis } from 'ioredis';
import type { PoolName } from '../domain/job.ts';
import { keys } from './keys.ts';

export const HEARTBEAT_MS = 5_000;
const GONE_AFTER_MS = 15_000;

export type Heartbeat = {
  id: string;
  host: string;
  pid: number;
  site: string | null;
  pools: readonly { stage: PoolName; concurrency: number }[];
  /** Does this process also fire timers and reconcile? */
  schedules: boolean;
};

export async function beat(redis: Redis, heartbeat: Heartbeat, now: number): Promise<void> {
  await redis
    .multi()
    .set(keys.worker(heartbeat.id), JSON.stringify(heartbeat), 'PX', GONE_AFTER_MS)
    .zadd(keys.workers, now, heartbeat.id)
    .zremrangebyscore(keys.workers, '-inf', now - GONE_AFTER_MS)
    .exec();
}

export async function endHeartbeat(redis: Redis, id: string): Promise<void> {
  await redis.multi().del(keys.worker(id)).zrem(keys.workers, id).exec();
}

export async function liveWorkers(redis: Redis): Promise<Heartbeat[]> {
  const ids = await redis.zrange(keys.workers, '0', '-1');
  if (ids.length === 0) return [];
  const replies = await redis.mget(ids.map((id) => keys.worker(id)));
  return replies.flatMap((json) => (json === null ? [] : [JSON.parse(json) as Heartbeat]));
}
