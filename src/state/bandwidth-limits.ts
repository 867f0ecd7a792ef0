/** How fast a run, or the workers of a host, may send: what operators set while it goes. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

export type BandwidthScope = { kind: 'run'; run: string } | { kind: 'host'; host: string };

/** Bytes per second, or `none`, which for a run also lifts what its wave says; null: nobody set one. */
export type SetLimit = number | 'none' | null;

export interface BandwidthLimits {
  /** In the order of the scopes. */
  read(scopes: readonly BandwidthScope[]): Promise<SetLimit[]>;
  write(scope: BandwidthScope, limit: number | 'none'): Promise<void>;
}

export function createBandwidthLimits(redis: Redis): BandwidthLimits {
  return {
    async read(scopes) {
      return (await redis.mget(scopes.map((scope) => keys.bandwidthLimit(scopeName(scope))))).map(parse);
    },
    async write(scope, limit) {
      await redis.set(keys.bandwidthLimit(scopeName(scope)), String(limit));
    },
  };
}

/** `run:ID` or `host:NAME`. */
export function scopeName(scope: BandwidthScope): string {
  return scope.kind === 'run' ? `run:${scope.run}` : `host:${scope.host}`;
}

function parse(text: string | null): SetLimit {
  if (text === null || text === 'none') return text;
  const bytesPerSecond = Number(text);
  return bytesPerSecond > 0 ? bytesPerSecond : null;
}
