/**
 * Run records as they were last read. That of a run of 10,000 machines is megabytes of JSON: too much to parse for each
 * of their jobs. Marks, not versions, tell whether one changed: a Redis that lost its last second counts versions from
 * there again.
 */
import type { Redis } from 'ioredis';
import type { RunRecord } from '../domain/run-record.ts';
import { keys } from './keys.ts';

/** More runs than that seldom move at once. */
const MAX_KEPT = 16;

export type RunCache = {
  /** null: there is no such run. Whoever asks for the same mark at the same time shares one reading. */
  at(id: string, mark: string): Promise<RunRecord | null>;
  keep(run: RunRecord, mark: string): RunRecord;
};

/** What records of older Landfalls lack. */
const UNKEPT = { plannedBy: null };

export function createRunCache(redis: Redis): RunCache {
  const kept = new Map<string, { mark: string; run: RunRecord }>();
  const reading = new Map<string, Promise<RunRecord | null>>();
  const keep = (run: RunRecord, mark: string): RunRecord => {
    kept.delete(run.id);
    kept.set(run.id, { mark, run });
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    return run;
  };
  const read = async (id: string): Promise<RunRecord | null> => {
    const [json = null, mark = null] = await redis.hmget(keys.run(id), 'json', 'mark');
    return json === null || mark === null
      ? null
      : keep({ ...UNKEPT, ...(JSON.parse(json) as RunRecord) }, mark);
  };
  return {
    keep,
    async at(id, mark) {
      const known = kept.get(id);
      if (known?.mark === mark) return known.run;
      const key = `${id} ${mark}`;
      const shared = reading.get(key) ?? read(id).finally(() => reading.delete(key));
      reading.set(key, shared);
      return shared;
    },
  };
}
