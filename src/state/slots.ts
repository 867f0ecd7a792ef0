/** Counted permits shared by all workers of all hosts. */
import type { Redis } from 'ioredis';
import type { Slots } from '../domain/ports.ts';
import { keys } from './keys.ts';

export function openSlots(open: { redis: Redis; run: string; machine: string }): Slots {
  const { redis, run, machine } = open;
  const owned = keys.slotsOf(run, machine);
  const field = (holder: string): string => `${run} ${machine} ${holder}`;
  return {
    async claim({ name, holder, limit }) {
      const reply = await redis.eval(
        CLAIM,
        2,
        keys.slots(name),
        owned,
        field(holder),
        limit,
        owner(name, field(holder)),
      );
      return reply === 1;
    },
    async release({ name, holder }) {
      await redis
        .multi()
        .hdel(keys.slots(name), field(holder))
        .srem(owned, owner(name, field(holder)))
        .exec();
    },
  };
}

/** Gives back all that a machine still holds: it came to rest. */
export async function releaseSlots(redis: Redis, of: { run: string; machine: string }): Promise<void> {
  const owned = keys.slotsOf(of.run, of.machine);
  for (const entry of await redis.smembers(owned)) {
    const { name, field } = JSON.parse(entry) as { name: string; field: string };
    await redis.multi().hdel(keys.slots(name), field).srem(owned, entry).exec();
  }
}

const CLAIM = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], 1)
redis.call('SADD', KEYS[2], ARGV[3])
return 1
`;

function owner(name: string, field: string): string {
  return JSON.stringify({ name, field });
}
