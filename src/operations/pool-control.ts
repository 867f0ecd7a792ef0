/** What operators do to worker pools, on all hosts at once: pause and resume them, and say how many steps each does at once. */
import { LandfallError } from '../domain/errors.ts';
import { isSiteBound, POOLS, type PoolName, type PoolRef, queueName } from '../domain/job.ts';
import type { Say } from '../domain/run-record.ts';
import type { QueueDepth, Queues } from '../queue/queues.ts';
import { type LiveWorker, liveWorkers } from '../state/heartbeats.ts';
import { concurrencyOf, type PoolSetting } from '../state/pool-settings.ts';
import { publishSignal } from '../state/signals.ts';
import type { State } from '../state/state.ts';
import { asOneLine, sayNow } from './operator.ts';

export type PoolChange =
  | { kind: 'pause' | 'resume' }
  /** null: as each process was started. */
  | { kind: 'concurrency'; value: number | null };

export type PoolDeps = { state: State; queues: Queues; by: string };

export type PoolStanding = PoolRef &
  QueueDepth & {
    /** Who paused it, as far as that was said through Landfall. */
    paused: Say | null;
    /** What an operator said; null: as each process was started. */
    concurrency: number | null;
    /** Of all live processes together. */
    slots: number;
  };

export type PausedPool = PoolRef & { paused: Say };

export const MAX_CONCURRENCY = 256;

/**
 * false: it was so already, and nothing was written. Workers heed it within seconds, and those that are started later.
 * Throws `usage` for a site where the pool's work is bound to none, and for a concurrency out of bounds.
 */
export async function changePool(
  { of, change, reason }: { of: PoolRef; change: PoolChange; reason: string | null },
  { state, queues, by }: PoolDeps,
): Promise<boolean> {
  refuseSite(of);
  const settings = await state.pools.read();
  const said = pausedBy(settings, of);
  switch (change.kind) {
    case 'pause': {
      const { isPaused } = await queues.depth(of);
      if (isPaused && said !== null) return false;
      await state.pools.setPaused(of, await sayNow(state, { by, reason }));
      break;
    }
    case 'resume': {
      const { isPaused } = await queues.depth(of);
      if (!isPaused && said === null) return false;
      await state.pools.setPaused(of, null);
      break;
    }
    case 'concurrency':
      refuseConcurrency(change.value);
      if (concurrencyOf(settings, of) === change.value) return false;
      await state.pools.setConcurrency(of, change.value);
      break;
    default:
      return change satisfies never;
  }
  await state.audit.append({ by, action: describeAction(of, change), reason: asOneLine(reason) });
  if (change.kind === 'concurrency') await publishSignal(state.redis, { type: 'pools' });
  else await queues.setPaused(of, change.kind === 'pause');
  return true;
}

/** Every queue that is served, that a run needs, or of which an operator said something; in the order of the flow. */
export async function readPools({
  state,
  queues,
}: Pick<PoolDeps, 'state' | 'queues'>): Promise<PoolStanding[]> {
  const [workers, settings, sites] = await Promise.all([
    liveWorkers(state.redis),
    state.pools.read(),
    readSites(state),
  ]);
  const known = [...workers.map(({ site }) => site), ...settings.map(({ site }) => site), ...sites];
  // Where nothing is known yet: what `up` would serve.
  const all =
    known.length === 0 ? [null] : [...new Set(known)].sort((a, b) => (a ?? '').localeCompare(b ?? ''));
  const refs = POOLS.flatMap((pool) => (isSiteBound(pool) ? all : [null]).map((site) => ({ pool, site })));
  return Promise.all(
    refs.map(async (of) => ({
      ...of,
      ...(await queues.depth(of)),
      paused: pausedBy(settings, of),
      concurrency: concurrencyOf(settings, of),
      slots: slotsOf(workers, of),
    })),
  );
}

/** Who paused a pool that a run with this source's site needs. */
export async function findPaused(state: State, site: string | null): Promise<PausedPool[]> {
  return pausedFor(await state.pools.read(), site);
}

export function pausedFor(settings: readonly PoolSetting[], site: string | null): PausedPool[] {
  return POOLS.flatMap((pool) => {
    const of = { pool, site: isSiteBound(pool) ? site : null };
    const paused = pausedBy(settings, of);
    return paused === null ? [] : [{ ...of, paused }];
  });
}

/** What that means, and what ends it. */
export function describePaused({ pool, site, paused }: PausedPool): {
  message: string;
  remedy: string;
} {
  const { by, reason } = paused;
  const at = site === null ? '' : ` --site ${site}`;
  return {
    message: `Pool ${namePool({ pool, site })} is paused by ${by}${reason === null ? '' : ` (${reason})`}: ${describePause(pool)}`,
    remedy: `Let it go on: \`landfall pool resume ${pool}${at}\`.`,
  };
}

/** What does not happen while it is paused. */
export function describePause(pool: PoolName): string {
  switch (pool) {
    case 'power':
      return 'no machine is shut down, admitted or rolled back';
    case 'import':
      return 'no import begins, and those that run are not looked at';
    case 'validate':
      return 'no landing is looked at, so none is proven';
    default:
      return `no ${pool} begins`;
  }
}

/** `upload`, `upload at site berlin`. */
export function namePool({ pool, site }: PoolRef): string {
  return site === null ? pool : `${pool} at site ${site}`;
}

function pausedBy(settings: readonly PoolSetting[], { pool, site }: PoolRef): Say | null {
  const name = queueName(pool, site);
  return settings.find((each) => queueName(each.pool, each.site) === name)?.paused ?? null;
}

function slotsOf(workers: readonly LiveWorker[], { pool, site }: PoolRef): number {
  const name = queueName(pool, site);
  const served = workers.flatMap((worker) =>
    worker.pools.filter(({ stage }) => queueName(stage, worker.site) === name),
  );
  return served.reduce((total, { concurrency }) => total + concurrency, 0);
}

async function readSites(state: State): Promise<(string | null)[]> {
  const runs = await Promise.all((await state.runs.unarchived()).map((id) => state.runs.get(id)));
  return runs.flatMap((run) => (run === null ? [] : [run.wave.source.site]));
}

/** As it would be typed. */
function describeAction({ pool, site }: PoolRef, change: PoolChange): string {
  const steps = change.kind === 'concurrency' ? ` ${change.value ?? 'default'}` : '';
  return `pool ${change.kind} ${pool}${steps}${site === null ? '' : ` --site ${site}`}`;
}

function refuseSite({ pool, site }: PoolRef): void {
  if (site === null || isSiteBound(pool)) return;
  throw new LandfallError({
    code: 'usage',
    message: `Pool ${pool} is the same for all sites: leave the site out.`,
  });
}

function refuseConcurrency(value: number | null): void {
  if (value === null || (Number.isInteger(value) && value >= 1 && value <= MAX_CONCURRENCY)) return;
  throw new LandfallError({
    code: 'usage',
    message: `A pool does 1 to ${MAX_CONCURRENCY} steps at once in each process, or as many as that was started with (default); not ${value}. To let none begin, pause it.`,
  });
}
