/** Counted permits shared by all workers of all hosts. Only a machine on the move, under a live lease, may claim one. */
import type { Redis } from 'ioredis';
import type { Slots } from '../domain/ports.ts';
import { keys } from './keys.ts';
import { FENCE, type Lease, leaseLost } from './lease.ts';

export function openSlots(open: { redis: Redis; run: string; machine: string; lease: Lease }): Slots {
  const { redis, run, machine, lease } = open;
  const field = (holder: string): string => JSON.stringify([run, machine, holder]);
  return {
    async claim({ name, holder, limit }) {
      const reply = await redis.eval(
        CLAIM,
        4,
        lease.key,
        keys.slots(name),
        keys.slotNames,
        keys.machine(run, machine),
        lease.token,
        field(holder),
        limit,
        name,
      );
      if (reply === 'stale') throw leaseLost(lease.key);
      return reply === 1;
    },
    async release({ name, holder }) {
      await redis.hdel(keys.slots(name), field(holder));
    },
  };
}

/** Gives back what machines hold that are no longer on the move, also after a kill between their end and their release. */
export async function sweepSlots(redis: Redis): Promise<void> {
  for (const name of await redis.smembers(keys.slotNames)) {
    for (const field of await redis.hkeys(keys.slots(name))) {
      const [run, machine] = JSON.parse(field) as [string, string];
      await redis.eval(SWEEP, 2, keys.slots(name), keys.machine(run, machine), field);
    }
  }
}

const CLAIM = `${FENCE}
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return 1 end
if redis.call('HGET', KEYS[4], 'status') ~= 'moving' then return 0 end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], 1)
redis.call('SADD', KEYS[3], ARGV[4])
return 1
`;

const SWEEP = `
if redis.call('HGET', KEYS[2], 'status') == 'moving' then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
`;
