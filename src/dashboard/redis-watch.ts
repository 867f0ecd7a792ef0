/**
 * Does Redis answer? Connections wait for a Redis that is away for as long as it takes, which no page can: one ping a
 * second tells, and whoever waits meanwhile is told at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import { hidePassword } from '../state/redis.ts';
import type { State } from '../state/state.ts';

export type RedisHealth = { redis: 'ok' | 'away'; message: string | null };

export type RedisWatch = AsyncDisposable & {
  health(): RedisHealth;
  /** Called whenever it went away or came back. */
  onChange(listener: (health: RedisHealth) => void): Disposable;
  /** What `work` gives; throws `redis-away` where Redis is away or goes away meanwhile. */
  whileThere<T>(work: () => Promise<T>): Promise<T>;
};

const PING_MS = 1_000;
/** A Redis that does not answer a ping within this time answers no page. */
const AWAY_AFTER_MS = 3_000;
/** At the start nobody waits for that: the page says that Redis is away, until it answers. */
const FIRST_MS = 500;

export async function startRedisWatch(state: State): Promise<RedisWatch> {
  const listeners = new Set<(health: RedisHealth) => void>();
  const ending = new AbortController();
  let health: RedisHealth = { redis: 'ok', message: null };
  // One at a time: to a Redis that is away they would pile up.
  let ping: Promise<boolean> | null = null;
  const look = async (timeoutMs = AWAY_AFTER_MS): Promise<void> => {
    ping ??= state.redis.ping().then(
      () => true,
      () => false,
    );
    const answer = ping;
    void answer.then(() => {
      ping = null;
    });
    const isThere = await answersWithin(timeoutMs, answer);
    if (isThere === (health.redis === 'ok')) return;
    health = isThere ? { redis: 'ok', message: null } : { redis: 'away', message: awayMessage(state) };
    for (const listener of [...listeners]) listener(health);
  };
  await look(FIRST_MS);
  const watching = (async () => {
    while (!ending.signal.aborted) {
      await sleep(PING_MS, undefined, { signal: ending.signal });
      await look();
    }
  })().catch(() => {});
  const onChange: RedisWatch['onChange'] = (listener) => {
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  };
  return {
    health: () => health,
    onChange,
    async whileThere(work) {
      if (health.redis === 'away') throw redisAway(health);
      const away = Promise.withResolvers<never>();
      using _listening = onChange((now) => {
        if (now.redis === 'away') away.reject(redisAway(now));
      });
      const working = work();
      // Where Redis was faster to go away, nobody waits for this any more.
      working.catch(() => {});
      return await Promise.race([working, away.promise]);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      await watching;
    },
  };
}

async function answersWithin(timeoutMs: number, answer: Promise<boolean>): Promise<boolean> {
  const late = new AbortController();
  try {
    return await Promise.race([answer, sleep(timeoutMs, false, { signal: late.signal })]);
  } finally {
    late.abort();
  }
}

function awayMessage({ url }: State): string {
  return `Redis at ${hidePassword(url)} does not answer, so nothing is known of the runs right now. The dashboard goes on by itself once it is back: start \`landfall up\`, or see after Redis.`;
}

export function redisAway({ message }: RedisHealth): LandfallError {
  return new LandfallError({ code: 'redis-away', message: message ?? 'Redis is away.', retryable: true });
}
