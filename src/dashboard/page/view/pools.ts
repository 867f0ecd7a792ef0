/** Who works, in words: how old a heartbeat is, how busy a host, what a change of a pool means. */
import type { PoolAction, Workers } from '../../api/workers.ts';
import type { Sign } from '../status/words.ts';
import { formatDuration } from './sizes.ts';

export type Pool = Workers['pools'][number];
export type Worker = Workers['workers'][number];

/** A worker says that it lives every few seconds; one that was silent for this long is looked at. */
const LATE_MS = 20_000;
const LOST_MS = 60_000;
const BUSY_LOAD = 0.9;
const OVERLOAD = 1.5;

/** `upload.berlin`, as the queue is called. */
export function nameOfPool({ pool, site }: Pick<Pool, 'pool' | 'site'>): string {
  return site === null ? pool : `${pool}.${site}`;
}

export function signOfPool({ isPaused, slots, waiting, active }: Pool): Sign {
  if (isPaused) return { word: 'paused', tone: 'warn', shape: 'pause' };
  if (slots === 0 && waiting > 0) return { word: 'nobody serves it', tone: 'bad', shape: 'cross' };
  if (slots === 0) return { word: 'not served', tone: 'idle', shape: 'dashed' };
  if (active === 0) return { word: 'idle', tone: 'idle', shape: 'circle' };
  return { word: 'at work', tone: 'go', shape: 'play' };
}

export function signOfBeat(beatAt: number, now: number): Sign {
  const age = Math.max(0, now - beatAt);
  const word = `${formatDuration(age)} ago`;
  if (age > LOST_MS) return { word, tone: 'bad', shape: 'cross' };
  return age > LATE_MS ? { word, tone: 'warn', shape: 'alert' } : { word, tone: 'good', shape: 'check' };
}

export function signOfLoad(load: number | null): Sign {
  if (load === null) return { word: 'not told', tone: 'idle', shape: 'question' };
  const word = `${load.toFixed(2)} per core`;
  if (load > OVERLOAD) return { word, tone: 'bad', shape: 'alert' };
  return load > BUSY_LOAD ? { word, tone: 'warn', shape: 'alert' } : { word, tone: 'good', shape: 'check' };
}

/** By host, so that who shares one stands together. */
export function groupByHost(
  workers: readonly Worker[],
): { host: string; site: string | null; workers: Worker[] }[] {
  return [...Map.groupBy(workers, ({ host }) => host)]
    .map(([host, those]) => ({ host, site: those[0]?.site ?? null, workers: those }))
    .sort((a, b) => a.host.localeCompare(b.host));
}

/** What a change does, before it is done. */
export function consequencesOf(pool: Pool, change: PoolAction['change']): string[] {
  const name = nameOfPool(pool);
  switch (change.kind) {
    case 'pause':
      return [
        `No step of pool ${name} begins, in any run, until it goes on.`,
        pool.active === 0
          ? 'None of its steps runs now.'
          : `The ${pool.active === 1 ? 'step that runs comes' : `${pool.active} steps that run come`} to their end.`,
        'Windows do not wait: what is not done in time may have to go back.',
      ];
    case 'resume':
      return [
        pool.waiting === 0
          ? `Steps of pool ${name} begin as they come; none waits now.`
          : `${pool.waiting} waiting ${pool.waiting === 1 ? 'step begins' : 'steps begin'} as there are slots.`,
      ];
    case 'concurrency':
      return change.value === null
        ? [`Each process does as many steps of pool ${name} at once as it was started with.`]
        : [
            `Each process that serves pool ${name} does up to ${change.value} of its steps at once, now and after a restart.`,
            'Steps that run come to their end, also where there are more of them than that.',
          ];
    default:
      return change satisfies never;
  }
}

/** A number that was typed; null: none that a pool can have. */
export function readConcurrency(text: string): number | null {
  const value = /^\d{1,3}$/.test(text.trim()) ? Number(text) : Number.NaN;
  return value >= 1 && value <= 256 ? value : null;
}
