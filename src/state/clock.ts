/** One clock for all hosts: Redis TIME. */
import type { Redis } from 'ioredis';
import type { Clock } from '../domain/ports.ts';

export function createRedisClock(redis: Redis): Clock {
  return {
    async now() {
      const [seconds, micros] = await redis.time();
      return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    },
    monotonicMs: () => performance.now(),
  };
}
