/** What operators said of worker pools: paused, and how many steps at once. It outlives workers and `up`. */
import type { Redis } from 'ioredis';
import { type PoolRef, queueName } from '../domain/job.ts';
import type { Say } from '../domain/run-record.ts';
import { keys } from './keys.ts';

export type PoolSetting = PoolRef & {
  /** Who paused it; null: nobody, or it was resumed. */
  paused: Say | null;
  /** Steps at once of each process that serves it; null: as each was started. */
  concurrency: number | null;
};

export interface PoolSettings {
  /** Of the pools of which something was ever said. */
  read(): Promise<PoolSetting[]>;
  setPaused(of: PoolRef, paused: Say | null): Promise<void>;
  setConcurrency(of: PoolRef, concurrency: number | null): Promise<void>;
}

/** A field for each of the two, so that two operators do not undo each other's. */
type Field = PoolRef & ({ paused: Say | null } | { concurrency: number | null });

export function createPoolSettings(redis: Redis): PoolSettings {
  const write = async (about: 'paused' | 'concurrency', field: Field): Promise<void> => {
    const name = `${about} ${queueName(field.pool, field.site)}`;
    await redis.hset(keys.poolSettings, name, JSON.stringify(field));
  };
  return {
    async read() {
      const fields = (await redis.hvals(keys.poolSettings)).map((json) => JSON.parse(json) as Field);
      const byQueue = Map.groupBy(fields, ({ pool, site }) => queueName(pool, site));
      return [...byQueue.values()].flatMap((said) => {
        const [first] = said;
        if (first === undefined) return [];
        const { pool, site } = first;
        return [Object.assign({ pool, site, paused: null, concurrency: null }, ...said) as PoolSetting];
      });
    },
    setPaused: ({ pool, site }, paused) => write('paused', { pool, site, paused }),
    setConcurrency: ({ pool, site }, concurrency) => write('concurrency', { pool, site, concurrency }),
  };
}

/** null: as its process was started. */
export function concurrencyOf(settings: readonly PoolSetting[], { pool, site }: PoolRef): number | null {
  const name = queueName(pool, site);
  return settings.find((each) => queueName(each.pool, each.site) === name)?.concurrency ?? null;
}
