/** The ledger in Redis: every side effect on the outside world, intent before, outcome after, written under a lease. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Clock, Ledger, LedgerEntry } from '../domain/ports.ts';
import { keys } from './keys.ts';
import { FENCE, type Lease, leaseLost } from './lease.ts';
import { orAborted } from './or-aborted.ts';

export function openLedger(open: {
  redis: Redis;
  clock: Clock;
  run: string;
  machine: string;
  lease: Lease;
  /** Ends every wait for Redis. */
  signal: AbortSignal;
}): Ledger {
  const { redis, clock, run, machine, lease, signal } = open;

  const newest = async (thing: string): Promise<LedgerEntry | null> => {
    const generation = await redis.hget(keys.ledgerHeads(run, machine), thing);
    if (generation === null) return null;
    const json = await redis.hget(keys.ledger(run, machine), `${thing} ${generation}`);
    return json === null ? null : (JSON.parse(json) as LedgerEntry);
  };

  const write = async (entry: LedgerEntry): Promise<LedgerEntry> => {
    lease.signal.throwIfAborted();
    const reply = await redis.eval(
      WRITE,
      3,
      lease.key,
      keys.ledger(run, machine),
      keys.ledgerHeads(run, machine),
      lease.token,
      entry.thing,
      entry.generation,
      JSON.stringify(entry),
    );
    if (reply === 'stale') throw leaseLost(lease.key);
    return entry;
  };

  const ledger: Ledger = {
    async intend(thing) {
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
    entries: () => readLedger(redis, { run, machine }),
  };
  return {
    intend: (thing) => orAborted(ledger.intend(thing), signal),
    settle: (entry, state, ref) => orAborted(ledger.settle(entry, state, ref), signal),
    entries: () => orAborted(ledger.entries(), signal),
  };
}

/** All entries of a machine, oldest first. */
export async function readLedger(
  redis: Redis,
  { run, machine }: { run: string; machine: string },
): Promise<LedgerEntry[]> {
  const entries = (await redis.hvals(keys.ledger(run, machine))).map(
    (json) => JSON.parse(json) as LedgerEntry,
  );
  return entries.sort((a, b) => a.at - b.at || a.thing.localeCompare(b.thing) || a.generation - b.generation);
}

export function tokenOf(of: { run: string; machine: string; thing: string; generation: number }): string {
  const text = JSON.stringify([of.run, of.machine, of.thing, of.generation]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** The head never goes back: settling an older generation again must not bring its successor's token back to life. */
const WRITE = `${FENCE}
redis.call('HSET', KEYS[2], ARGV[2] .. ' ' .. ARGV[3], ARGV[4])
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', KEYS[3], ARGV[2]) or '0') then
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
end
return 'written'
`;
