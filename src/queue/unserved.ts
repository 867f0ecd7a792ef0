/** What nobody does although machines wait for it: a job never starts where its image cannot be read. */
import { isSiteBound, type PoolName, poolOf } from '../domain/job.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Heartbeat } from '../state/heartbeats.ts';

export type UnservedPool = {
  pool: PoolName;
  /** Only workers of this site could serve it (`landfall worker --site`); null: any worker could. */
  site: string | null;
  /** Names, in the order of the records. */
  machines: string[];
};

/** Of the pools that these machines want right now, those that no live worker serves. */
export function findUnserved(
  records: readonly MachineRecord[],
  workers: readonly Pick<Heartbeat, 'site' | 'pools'>[],
): UnservedPool[] {
  const unserved = new Map<string, UnservedPool>();
  for (const record of records) {
    const name = record.machine.name;
    for (const pool of wantedPools(record)) {
      const site = isSiteBound(pool) ? record.site : null;
      if (workers.some((worker) => serves(worker, { pool, site }))) continue;
      const key = JSON.stringify([pool, site]);
      const known = unserved.get(key) ?? { pool, site, machines: [] };
      known.machines.push(name);
      unserved.set(key, known);
    }
  }
  return [...unserved.values()];
}

/** A worker of a site serves what is bound to a site there only, and what is bound to none as any other does. */
function serves(
  { site, pools }: Pick<Heartbeat, 'site' | 'pools'>,
  wanted: { pool: PoolName; site: string | null },
): boolean {
  if (isSiteBound(wanted.pool) && site !== wanted.site) return false;
  return pools.some(({ stage }) => stage === wanted.pool);
}

function wantedPools({ status, steps }: MachineRecord): Set<PoolName> {
  const wanted = Object.values(steps).filter(({ stage, state }) => {
    if (status === 'rolling-back') return stage === 'rollback' && state === 'active';
    return status === 'moving' && stage !== 'rollback' && state === 'active';
  });
  return new Set(wanted.map(({ stage }) => poolOf(stage)));
}
