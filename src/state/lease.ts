/**
 * A lease makes one attempt at a step the only one that may write. A stalled BullMQ job can run twice; whoever holds
 * the newest fencing token wins, and the other's writes are refused.
 *
 * The holder's signal aborts `SAFETY_MS` before Redis lets the lease go, on the monotonic clock. Every request runs
 * under that signal, so none is sent, or still waited for, once a successor can hold the lease.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LandfallError } from '../domain/errors.ts';
import { keys } from './keys.ts';
import { createScript } from './script.ts';
import { within } from './within.ts';

/** As long as BullMQ's lock: a killed worker's step goes on elsewhere when both have run out. */
export const LEASE_MS = 10_000;
const RENEW_EVERY_MS = 2_500;
const SAFETY_MS = 1_500;
const RELEASE_MS = 500;

export type LeaseOf = { run: string; machine: string; step: string };

export type Lease = AsyncDisposable & {
  key: string;
  /**
   * Fencing token, `NUMBER-OWNER`: no two leases ever have the same, even where Redis lost its last second and counts
   * from there again.
   */
  token: string;
  /** Aborts when the lease may be lost. */
  signal: AbortSignal;
  /** It ended together with what was written last: there is nothing left to release. */
  forget(): void;
};

export type LeaseReply = { kind: 'held'; lease: Lease } | { kind: 'taken'; freeInMs: number };

export async function acquireLease(redis: Redis, of: LeaseOf): Promise<LeaseReply> {
  const key = keys.lease(of);
  const owner = randomUUID();
  const askedAt = performance.now();
  const reply = (await ACQUIRE(redis, [key, keys.fence], [owner, LEASE_MS])) as number | string;
  if (typeof reply === 'number') return { kind: 'taken', freeInMs: reply };
  return { kind: 'held', lease: holdLease({ redis, key, token: reply, since: askedAt }) };
}

/** Lua that every fenced write begins with: KEYS[1] is the lease, ARGV[1] the token. */
export const FENCE = `if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'stale' end\n`;

export function leaseLost(key: string): LandfallError {
  return new LandfallError({
    code: 'lease-lost',
    message: `Another worker took over (${key}); this attempt stops without writing.`,
    retryable: true,
  });
}

function holdLease(held: { redis: Redis; key: string; token: string; since: number }): Lease {
  const { redis, key, token } = held;
  const controller = new AbortController();
  let expiresAt = held.since + LEASE_MS;
  const lose = (): void => controller.abort(leaseLost(key));
  const renew = async (): Promise<void> => {
    if (performance.now() > expiresAt - SAFETY_MS) return lose();
    const askedAt = performance.now();
    const reply = (await RENEW(redis, [key], [token, LEASE_MS])) as number;
    if (reply === 1) expiresAt = askedAt + LEASE_MS;
    else lose();
  };
  // While Redis is away a renewal hangs: the watch below still ends the lease in time.
  const renewal = setInterval(() => void renew().catch(() => {}), RENEW_EVERY_MS);
  const watch = setInterval(() => {
    if (performance.now() > expiresAt - SAFETY_MS) lose();
  }, 250);
  let isForgotten = false;
  const stop = (): void => {
    clearInterval(renewal);
    clearInterval(watch);
  };
  return {
    key,
    token,
    signal: controller.signal,
    forget() {
      isForgotten = true;
      stop();
    },
    async [Symbol.asyncDispose]() {
      stop();
      // Where Redis is away the lease ends by itself.
      if (!controller.signal.aborted && !isForgotten)
        await within(RELEASE_MS, RELEASE(redis, [key], [token]));
    },
  };
}

const ACQUIRE = createScript(`
local left = redis.call('PTTL', KEYS[1])
if left > 0 then return left end
local token = redis.call('INCR', KEYS[2]) .. '-' .. ARGV[1]
redis.call('HSET', KEYS[1], 'token', token)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
`);

const RENEW = createScript(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

const RELEASE = createScript(`
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);
