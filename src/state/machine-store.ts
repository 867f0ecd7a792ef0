/**
 * Machine records, committed by compare-and-set. The same script moves the machine between the run's counts, keeps
 * the queue of waiting machines, guards the limit of machines on the move, holds or gives up the claim on the source
 * machine, and appends the events: so counts and events never disagree with the records.
 */
import type { Redis } from 'ioredis';
import type { RunEvent } from '../domain/events.ts';
import { MACHINE_STATUSES, type MachineRecord, type MachineStatus } from '../domain/machine-record.ts';
import type { RunCounts } from '../domain/run-record.ts';
import { EVENTS_KEPT } from './event-stream.ts';
import { keys } from './keys.ts';
import type { Lease } from './lease.ts';

export type CommitResult =
  | { kind: 'committed' }
  /** Another process was faster: read again and decide again. */
  | { kind: 'conflict' }
  /** The run already moves as many machines as its limit allows. */
  | { kind: 'full' }
  /** Another live run took this source machine meanwhile. */
  | { kind: 'claimed'; by: string }
  /** The lease under which this outcome was made is not held any more. */
  | { kind: 'stale' };

export type Commit = {
  /** `version` is the one that was read; the commit stores the next. */
  record: MachineRecord;
  events: readonly RunEvent[];
  /** Machines on the move at once. */
  limit: number;
  /** The lease of the attempt whose outcome this is; null for what operators and timers change. */
  lease: Pick<Lease, 'key' | 'token'> | null;
};

export interface MachineStore {
  get(run: string, name: string): Promise<MachineRecord | null>;
  all(run: string, names: readonly string[]): Promise<MachineRecord[]>;
  commit(commit: Commit): Promise<CommitResult>;
  counts(run: string): Promise<RunCounts>;
  /** The first `count` machines that wait for a slot, in the wave's order. */
  nextWaiting(run: string, count: number): Promise<string[]>;
}

export function createMachineStore(redis: Redis): MachineStore {
  return {
    async get(run, name) {
      return parse(await redis.hget(keys.machine(run, name), 'json'));
    },

    async all(run, names) {
      const pipeline = redis.pipeline();
      for (const name of names) pipeline.hget(keys.machine(run, name), 'json');
      const replies = (await pipeline.exec()) ?? [];
      return replies.flatMap(([error, json]) => {
        if (error !== null) throw error;
        return parse(json as string | null) ?? [];
      });
    },

    async commit({ record, events, limit, lease }) {
      const { run, version, status, position, machine } = record;
      const next = { ...record, version: version + 1 };
      const reply = (await redis.eval(
        COMMIT,
        6,
        keys.machine(run, machine.name),
        keys.counts(run),
        keys.waiting(run),
        keys.events(run),
        keys.claims,
        lease?.key ?? keys.machine(run, machine.name),
        version,
        next.version,
        JSON.stringify(next),
        status,
        machine.name,
        position,
        machine.identity,
        run,
        limit,
        EVENTS_KEPT,
        lease?.token ?? '',
        ...events.map((event) => JSON.stringify(event)),
      )) as string;
      if (reply.startsWith('claimed ')) return { kind: 'claimed', by: reply.slice('claimed '.length) };
      return { kind: reply as 'committed' | 'conflict' | 'full' | 'stale' };
    },

    async counts(run) {
      const stored = await redis.hgetall(keys.counts(run));
      const counts = Object.fromEntries(
        MACHINE_STATUSES.map((status) => [status, Number(stored[status] ?? 0)]),
      ) as Record<MachineStatus, number>;
      return { ...counts, groups: {} };
    },

    async nextWaiting(run, count) {
      return count === 0 ? [] : redis.zrange(keys.waiting(run), '0', String(count - 1));
    },
  };
}

const COMMIT = `
local version, status = unpack(redis.call('HMGET', KEYS[1], 'version', 'status'))
local name, after, identity, run = ARGV[5], ARGV[4], ARGV[7], ARGV[8]
if ARGV[11] ~= '' and redis.call('HGET', KEYS[6], 'token') ~= ARGV[11] then return 'stale' end
if version ~= ARGV[1] then return 'conflict' end
if status ~= after then
  if after == 'moving' and tonumber(redis.call('HGET', KEYS[2], 'moving') or '0') >= tonumber(ARGV[9]) then
    return 'full'
  end
  if after == 'waiting' then
    local holder = redis.call('HGET', KEYS[5], identity)
    if holder and holder ~= run then return 'claimed ' .. holder end
    redis.call('HSET', KEYS[5], identity, run)
  end
  if (after == 'cancelled' or after == 'discarded') and redis.call('HGET', KEYS[5], identity) == run then
    redis.call('HDEL', KEYS[5], identity)
  end
  redis.call('HINCRBY', KEYS[2], status, -1)
  redis.call('HINCRBY', KEYS[2], after, 1)
  if after == 'waiting' then redis.call('ZADD', KEYS[3], ARGV[6], name) else redis.call('ZREM', KEYS[3], name) end
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'status', after, 'json', ARGV[3])
for i = 12, #ARGV do redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[10], '*', 'event', ARGV[i]) end
return 'committed'
`;

function parse(json: string | null | undefined): MachineRecord | null {
  return json === null || json === undefined ? null : (JSON.parse(json) as MachineRecord);
}
