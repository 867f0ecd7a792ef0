/**
 * What all runs came to, as counters that never go back: not when a dashboard is started anew, not when several count.
 * Whoever counts says from where to where in a run's history, and is refused where somebody else was there before: so each
 * part of it is counted once.
 */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';
import { createScript } from './script.ts';

export interface MetricTotals {
  /** How far runs were counted, as whoever counted said; those that nobody counted are missing. */
  cursors(): Promise<Map<string, string>>;
  /** Adds whole numbers to totals. false: the run was counted on meanwhile; nothing was added. */
  add(run: string, part: { from: string | null; to: string; amounts: Amounts }): Promise<boolean>;
  read(): Promise<Map<string, number>>;
}

export type Amounts = ReadonlyMap<string, number>;

export function createMetricTotals(redis: Redis): MetricTotals {
  return {
    async cursors() {
      return new Map(Object.entries(await redis.hgetall(keys.metricCursors)));
    },
    async add(run, { from, to, amounts }) {
      const fields = [...amounts].flatMap(([field, amount]) => [field, Math.round(amount)]);
      const reply = await ADD(
        redis,
        [keys.metricCursors, keys.metricTotals],
        [run, from ?? '', to, ...fields],
      );
      return reply === 1;
    },
    async read() {
      const saved = Object.entries(await redis.hgetall(keys.metricTotals));
      return new Map(saved.map(([field, value]) => [field, Number(value)]));
    },
  };
}

const ADD = createScript(`
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
for i = 4, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`);
