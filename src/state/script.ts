/** Lua that Redis keeps: sent once, then named by its digest, so that neither side reads or hashes it again and again. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

export type Script = (
  redis: Redis,
  keys: readonly string[],
  args: readonly (string | number)[],
) => Promise<unknown>;

export function createScript(lua: string): Script {
  const digest = createHash('sha1').update(lua).digest('hex');
  return async (redis, keys, args) => {
    try {
      return await redis.evalsha(digest, keys.length, ...keys, ...args);
    } catch (error) {
      // A Redis that was started anew does not know it.
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return await redis.eval(lua, keys.length, ...keys, ...args);
    }
  };
}
