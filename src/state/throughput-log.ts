/** What all workers together moved for a run, in buckets of ten seconds: for eyes and estimates, never part of a decision. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

export const BUCKET_MS = 10_000;
/** Of a run, no more than its last day: 8,640 samples of some 40 bytes. */
const KEPT_MS = 24 * 3_600_000;
/** So long after the last byte, a run's curve is still there to look at. */
const EXPIRES_MS = 30 * 24 * 3_600_000;

export type ThroughputSample = {
  /** When the bucket began (ms since the epoch). */
  at: number;
  bytesPerSecond: number;
  /** What held then; null: nothing did. */
  limitBytesPerSecond: number | null;
};

export interface ThroughputLog {
  /** In place of what was told of that bucket before: two who measure the same write the same. */
  write(run: string, sample: ThroughputSample): Promise<void>;
  /** Oldest first, or of what began after a moment; buckets in which nothing moved have none. */
  read(run: string, after?: number): Promise<ThroughputSample[]>;
}

export function createThroughputLog(redis: Redis): ThroughputLog {
  return {
    async write(run, { at, bytesPerSecond, limitBytesPerSecond }) {
      const key = keys.throughput(run);
      await redis
        .multi()
        .zremrangebyscore(key, at, at)
        .zadd(key, at, [at, Math.round(bytesPerSecond), limitBytesPerSecond ?? '-'].join(' '))
        .zremrangebyscore(key, '-inf', at - KEPT_MS)
        .pexpire(key, EXPIRES_MS)
        .exec();
    },
    async read(run, after) {
      const from = after === undefined ? '-inf' : `(${after}`;
      return (await redis.zrangebyscore(keys.throughput(run), from, '+inf')).map(parse);
    },
  };
}

function parse(text: string): ThroughputSample {
  const [at, bytesPerSecond, limit] = text.split(' ');
  return {
    at: Number(at),
    bytesPerSecond: Number(bytesPerSecond),
    limitBytesPerSecond: limit === '-' ? null : Number(limit),
  };
}
