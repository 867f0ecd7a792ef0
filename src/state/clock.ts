/** One clock for all hosts: Redis TIME. */
import type { Redis } from 'ioredis';
import type { Clock } from '../domain/ports.ts';

export function createRedisClock(redis: Redis): Clock {
  let asked: Promise<number> | null = null;
  return {
    async now() {
      if (asked !== null) return asked;
      // All who ask in one turn of the event loop share the answer: a busy worker asks hundreds of times in a second.
      setImmediate(() => {
        asked = null;
      });
      asked = askTime(redis);
      return asked;
    },
    monotonicMs: () => performance.now(),
  };
}

async function askTime(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
