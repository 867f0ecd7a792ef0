/** Which workers live, what they serve and do, and how their hosts bear it. */
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
  /** As many steps at once as it does now. */
  pools: readonly { stage: PoolName; concurrency: number }[];
  /** Does this process also fire timers and reconcile? */
  schedules: boolean;
} & WorkerHealth;

/** For eyes only. A worker of an older Landfall says nothing of it. */
export type WorkerHealth = {
  startedAt: number | null;
  /** Of its host, over the last minute, per core. */
  load: number | null;
  /** What the process holds of its host's memory. */
  memoryBytes: number | null;
  jobs: readonly CurrentJob[];
};

export type CurrentJob = {
  run: string;
  machine: string;
  step: string;
  try: number;
  /** Since when this process is at it (ms since the epoch). */
  since: number;
};

/** `beatAt`: of its last heartbeat (ms since the epoch). */
export type LiveWorker = Heartbeat & { beatAt: number };

export const UNSAID: WorkerHealth = { startedAt: null, load: null, memoryBytes: null, jobs: [] };

export async function beat(redis: Redis, heartbeat: Heartbeat, now: number): Promise<void> {
  const worker: LiveWorker = { ...heartbeat, beatAt: now };
  await redis
    .multi()
    .set(keys.worker(heartbeat.id), JSON.stringify(worker), 'PX', GONE_AFTER_MS)
    .zadd(keys.workers, now, heartbeat.id)
    .zremrangebyscore(keys.workers, '-inf', now - GONE_AFTER_MS)
    .exec();
}

export async function endHeartbeat(redis: Redis, id: string): Promise<void> {
  await redis.multi().del(keys.worker(id)).zrem(keys.workers, id).exec();
}

export async function liveWorkers(redis: Redis): Promise<LiveWorker[]> {
  const beats = await redis.zrange(keys.workers, '0', '-1', 'WITHSCORES');
  const ids = beats.filter((_value, index) => index % 2 === 0);
  if (ids.length === 0) return [];
  const replies = await redis.mget(ids.map((id) => keys.worker(id)));
  return replies.flatMap((json, index) => {
    if (json === null) return [];
    return [{ ...UNSAID, beatAt: Number(beats[2 * index + 1]), ...(JSON.parse(json) as Heartbeat) }];
  });
}
