/**
 * Shares bandwidth among all who send for one run, on whatever host, and among all workers of one host. Each limit is a
 * token bucket in Redis that fills by Redis TIME; bytes pass when every bucket that applies is out of debt, and may then
 * run it into debt: whoever comes later waits until that is paid. So a take larger than a bucket passes, at the right
 * mean rate. Turns are shared evenly among those who wait, so that none takes more than a piece in one turn: else parts of
 * 8 MiB left the blocks of another disk a tenth of the line.
 *
 * Where no limit is set, `take` never waits for Redis: the limits are looked up in the background, once a second at most,
 * and only while somebody sends. Where one is set, each `take` costs one round trip. While Redis is away the last known
 * limits hold for each process by itself: the data path slows down to them, but it never stops.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Bandwidth } from '../domain/ports.ts';
import { type BandwidthLimits, type SetLimit, scopeName } from './bandwidth-limits.ts';
import { keys } from './keys.ts';
import { orAborted } from './or-aborted.ts';

export interface Bandwidths {
  /**
   * `plannedRate`: what the wave says now, in bytes per second, until an operator says otherwise. Calls of `take` are served
   * in their order.
   */
  open(of: { run: string; plannedRate: () => number | undefined }): Bandwidth;
}

const LOOK_EVERY_MS = 1_000;
/** A block of a disk: the least that is sent at once, so no piece can be smaller and bytes be shared alike. */
const PIECE_BYTES = 512 * 1024;
/** A bucket holds what passes in so much time: it makes up for timers that fire late, and is no noticeable burst. */
const BUCKET_SECONDS = 0.25;
/** A limit that was raised meanwhile is noticed after so long. */
const MAX_WAIT_MS = 500;
/** A Redis that takes longer is away; it is asked again later. */
const ANSWER_MS = 1_000;
const AWAY_MS = 10_000;

type Limit = { scope: string; bytesPerSecond: number };

export function createBandwidths(
  { redis, limits }: { redis: Redis; limits: BandwidthLimits },
  host = hostname(),
): Bandwidths {
  const local = createLocalBuckets();
  let awayUntil = 0;

  /** null: Redis does not answer. */
  const answered = async <T>(ask: () => Promise<T>): Promise<T | null> => {
    const isConnected = redis.status === 'ready' || redis.status === 'wait';
    if (!isConnected || performance.now() < awayUntil) return null;
    const ended = new AbortController();
    const late = sleep(ANSWER_MS, undefined, { signal: ended.signal }).then(() => {
      throw new Error('late');
    });
    try {
      return await Promise.race([ask(), late]);
    } catch {
      awayUntil = performance.now() + AWAY_MS;
      return null;
    } finally {
      ended.abort();
      late.catch(() => {});
    }
  };

  /** Gives how long to wait before asking again; 0: the bytes may pass. */
  const draw = async (from: readonly Limit[], bytes: number): Promise<number> => {
    const buckets = from.map(({ scope }) => keys.bandwidthBucket(scope));
    const rates = from.map(({ bytesPerSecond }) => bytesPerSecond);
    const waitMs = await answered(() =>
      redis.eval(DRAW, buckets.length, ...buckets, bytes, BUCKET_SECONDS, ...rates),
    );
    return typeof waitMs === 'number' ? waitMs : local.draw(from, bytes);
  };

  return {
    open({ run, plannedRate }) {
      const scopes = [{ kind: 'run', run } as const, { kind: 'host', host } as const];
      const inForce = (ofRun: SetLimit, ofHost: SetLimit): Limit[] =>
        [ofRun ?? plannedRate() ?? 'none', ofHost ?? 'none'].flatMap((limit, index) => {
          const scope = scopes[index];
          return limit === 'none' || scope === undefined
            ? []
            : { scope: scopeName(scope), bytesPerSecond: limit };
        });
      let known = inForce(null, null);
      let looking: Promise<void> | null = null;
      let lookedAt = Number.NEGATIVE_INFINITY;
      const look = async (): Promise<void> => {
        lookedAt = performance.now();
        const set = await answered(() => limits.read(scopes));
        if (set !== null) known = inForce(set[0] ?? null, set[1] ?? null);
      };
      const limitsNow = async (): Promise<readonly Limit[]> => {
        const isFirst = lookedAt === Number.NEGATIVE_INFINITY;
        if (performance.now() - lookedAt >= LOOK_EVERY_MS) looking = look();
        if (isFirst) await looking;
        return known;
      };
      const pass = async (bytes: number, signal: AbortSignal): Promise<void> => {
        for (;;) {
          signal.throwIfAborted();
          const from = await limitsNow();
          const waitMs = from.length === 0 ? 0 : await draw(from, bytes);
          if (waitMs === 0) return;
          await sleep(Math.min(waitMs, MAX_WAIT_MS), undefined, { signal }).catch(() => {});
        }
      };
      const passInPieces = async (bytes: number, signal: AbortSignal): Promise<void> => {
        for (let left = bytes; left > 0; left -= PIECE_BYTES) await pass(Math.min(left, PIECE_BYTES), signal);
      };
      return { take: inTurn(passInPieces) };
    },
  };
}

/**
 * KEYS: the buckets. ARGV: bytes to take, seconds that a bucket holds, then the rate of each. All buckets grant, or none is
 * changed and the answer is the milliseconds until the last one is out of debt.
 */
const DRAW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local levels, wait = {}, 0
for i, key in ipairs(KEYS) do
  local rate = tonumber(ARGV[i + 2])
  local saved = redis.call('HMGET', key, 'level', 'at')
  local sinceMs = math.max(0, now - tonumber(saved[2] or now))
  levels[i] = math.min(rate * ARGV[2], tonumber(saved[1] or 0) + sinceMs / 1000 * rate)
  if levels[i] < 0 then wait = math.max(wait, -levels[i] / rate * 1000) end
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, 'level', string.format('%.3f', levels[i] - ARGV[1]), 'at', string.format('%.3f', now))
  redis.call('PEXPIRE', key, 3600000)
end
return 0
`;

/** The same in this process, for as long as Redis is away. */
function createLocalBuckets() {
  const buckets = new Map<string, { level: number; atMs: number }>();
  return {
    draw(from: readonly Limit[], bytes: number): number {
      const nowMs = performance.now();
      const filled = from.map(({ scope, bytesPerSecond }) => {
        const { level, atMs } = buckets.get(scope) ?? { level: 0, atMs: nowMs };
        const full = bytesPerSecond * BUCKET_SECONDS;
        return {
          scope,
          bytesPerSecond,
          level: Math.min(full, level + ((nowMs - atMs) / 1000) * bytesPerSecond),
        };
      });
      const waitMs = Math.max(...filled.map(({ level, bytesPerSecond }) => (-level / bytesPerSecond) * 1000));
      if (waitMs > 0) return Math.ceil(waitMs);
      for (const { scope, level } of filled) buckets.set(scope, { level: level - bytes, atMs: nowMs });
      return 0;
    },
  };
}

/** One call after the other: else those with small takes would pass those with large ones for ever. */
function inTurn(pass: Bandwidth['take']): Bandwidth['take'] {
  let last: Promise<void> = Promise.resolve();
  return (bytes, signal) => {
    const turn = last.then(() => pass(bytes, signal));
    last = turn.catch(() => {});
    // Those who wait for their turn behind another hear of their abort at once.
    return orAborted(turn, signal);
  };
}
