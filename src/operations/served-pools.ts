/** Which of the pools that a run needs nobody serves: then its machines wait, and somebody should know why. */
import { isSiteBound, POOLS, type PoolName, queueName } from '../domain/job.ts';
import { type Heartbeat, liveWorkers } from '../state/heartbeats.ts';
import type { State } from '../state/state.ts';

export type Unserved = { pools: readonly PoolName[]; site: string | null };

/** By site: those that no live worker serves. `site`: of the wave's source. */
export async function findUnserved(state: State, site: string | null): Promise<Unserved[]> {
  return unservedBy(await liveWorkers(state.redis), site);
}

export function unservedBy(workers: readonly Heartbeat[], site: string | null): Unserved[] {
  const served = new Set(
    workers.flatMap((worker) => worker.pools.map(({ stage }) => queueName(stage, worker.site))),
  );
  const missing = POOLS.filter((pool) => !served.has(queueName(pool, site)));
  const bySite = Map.groupBy(missing, (pool) => (isSiteBound(pool) ? site : null));
  return [...bySite].map(([of, pools]) => ({ pools, site: of }));
}

/** What is missing, and what starts it. */
export function describeUnserved({ pools, site }: Unserved): { message: string; remedy: string } {
  const stages = pools.join(',');
  return {
    message: `No live worker serves ${pools.join(', ')}${site === null ? '' : ` at site ${site}`}: what needs ${pools.length === 1 ? 'it' : 'them'} waits`,
    remedy:
      site === null
        ? `Start one: \`landfall worker --stage ${stages}\`.`
        : `Start one where the images of ${site} can be read: \`landfall worker --site ${site} --stage ${stages}\`.`,
  };
}
