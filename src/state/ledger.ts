/** The ledger in Redis: every side effect on the outside world, intent before, outcome after, written under a lease. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Clock, Ledger, LedgerEntry } from '../domain/ports.ts';
import { keys } from './keys.ts';
import { FENCE, type Lease, leaseLost } from './lease.ts';

export function openLedger(open: {
  redis: Redis;
  clock: Clock;
  run: string;
  machine: string;
  lease: Lease;
}): Ledger {
  const { redis, clock, run, machine, lease } = open;

  const newest = async (thing: string): Promise<LedgerEntry | null> => {
    const generation = await redis.hget(keys.ledgerHeads(run), headField(machine, thing));
    if (generation === null) return null;
    const json = await redis.hget(
      keys.ledger(run),
      entryField({ machine, thing, generation: Number(generation) }),
    );
    return json === null ? null : (JSON.parse(json) as LedgerEntry);
  };

  const write = async (entry: LedgerEntry): Promise<LedgerEntry> => {
    const reply = await redis.eval(
      WRITE,
      3,
      lease.key,
      keys.ledger(run),
      keys.ledgerHeads(run),
      lease.token,
      entryField(entry),
      headField(machine, entry.thing),
      entry.generation,
      JSON.stringify(entry),
    );
    if (reply === 'stale') throw leaseLost(lease.key);
    return entry;
  };

  return {
    async intend(thing) {
      lease.signal.throwIfAborted();
      const last = await newest(thing);
      if (last !== null && (last.state === 'intended' || last.state === 'done')) return last;
      const generation = (last?.generation ?? 0) + 1;
      const token = tokenOf({ run, machine, thing, generation });
      return write({
        run,
        machine,
        thing,
        generation,
        token,
        state: 'intended',
        ref: null,
        at: await clock.now(),
      });
    },
    async settle(entry, state, ref) {
      return write({
        ...entry,
        state,
        ref: ref === undefined ? entry.ref : { ...entry.ref, ...ref },
        at: await clock.now(),
      });
    },
    entries: async () => (await readLedger(redis, run)).filter((entry) => entry.machine === machine),
  };
}

/** All entries of a run, oldest first. */
export async function readLedger(redis: Redis, run: string): Promise<LedgerEntry[]> {
  const entries = (await redis.hvals(keys.ledger(run))).map((json) => JSON.parse(json) as LedgerEntry);
  return entries.sort((a, b) => a.at - b.at || a.thing.localeCompare(b.thing) || a.generation - b.generation);
}

export function tokenOf(of: { run: string; machine: string; thing: string; generation: number }): string {
  const text = JSON.stringify([of.run, of.machine, of.thing, of.generation]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

const WRITE = `${FENCE}
redis.call('HSET', KEYS[2], ARGV[2], ARGV[5])
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
return 'written'
`;

function headField(machine: string, thing: string): string {
  return `${machine} ${thing}`;
}

function entryField(entry: { machine: string; thing: string; generation: number }): string {
  return `${entry.machine} ${entry.thing} ${entry.generation}`;
}
