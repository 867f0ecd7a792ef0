/**
 * The one script that writes machine records. It moves the machine between the run's counts, keeps the queues of waiting
 * machines, guards the limits of machines on the move, takes or gives up the claim on the source machine, and appends
 * the events: so counts and events never disagree with the records.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { RunEvent } from '../domain/events.ts';
import { isTroubled, type MachineRecord } from '../domain/machine-record.ts';
import { EVENTS_KEPT } from './event-stream.ts';
import { keys } from './keys.ts';
import type { Lease } from './lease.ts';
import { createScript } from './script.ts';

export type CommitResult =
  | { kind: 'committed' }
  /** Another process was faster: read again and decide again. */
  | { kind: 'conflict' }
  /** The run, or one host at its source, already moves as many machines as its limit allows. */
  | { kind: 'full'; of: 'run' | 'host' }
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
  /** The same per host at the source; left out: no limit. */
  limitPerHost?: number | undefined;
  /** The lease of the attempt whose outcome this is; null for what operators and timers change. */
  lease: Pick<Lease, 'key' | 'token'> | null;
  /** With this commit the attempt is over: its lease goes in the same step. */
  endsLease?: boolean;
  /** Names what is committed, to know it again without reading it; left out: nobody will ask. Never the same twice. */
  mark?: string;
};

export async function commitMachine(redis: Redis, commit: Commit): Promise<CommitResult> {
  const { record, events, limit, limitPerHost, lease, endsLease = false, mark = randomUUID() } = commit;
  const { run, version, status, position, machine, plan } = record;
  const key = keys.machine(run, machine.name);
  const next = { ...record, version: version + 1 };
  const reply = (await COMMIT(
    redis,
    [
      key,
      keys.counts(run),
      keys.groups(run),
      keys.hosts(run),
      keys.waiting(run),
      keys.events(run),
      keys.claims,
      lease?.key ?? key,
    ],
    [
      version,
      next.version,
      JSON.stringify(next),
      status,
      isTroubled(record) ? 1 : 0,
      machine.name,
      position,
      machine.identity,
      run,
      plan.group ?? '',
      machine.host ?? '',
      limit,
      limitPerHost ?? 0,
      EVENTS_KEPT,
      lease?.token ?? '',
      lease !== null && endsLease ? 1 : 0,
      mark,
      ...events.map((event) => JSON.stringify(event)),
    ],
  )) as string;
  if (reply.startsWith('claimed ')) return { kind: 'claimed', by: reply.slice('claimed '.length) };
  if (reply === 'full' || reply === 'host-full')
    return { kind: 'full', of: reply === 'full' ? 'run' : 'host' };
  return { kind: reply as 'committed' | 'conflict' | 'stale' };
}

/**
 * A claim is taken by whoever wants to move the machine, there or back: turning a source on again under another run's
 * copy would be as bad as copying it twice. Queues of one host exist only where hosts are limited.
 */
const COMMIT = createScript(`
local version, before, wasTroubled = unpack(redis.call('HMGET', KEYS[1], 'version', 'status', 'troubled'))
local after, troubled, name, position, identity, run = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local group, host, limit, hostLimit = ARGV[10], ARGV[11], tonumber(ARGV[12]), tonumber(ARGV[13])
if ARGV[15] ~= '' and redis.call('HGET', KEYS[8], 'token') ~= ARGV[15] then return 'stale' end
if version ~= ARGV[1] then return 'conflict' end
if before ~= after then
  if after == 'moving' then
    if tonumber(redis.call('HGET', KEYS[2], 'moving') or '0') >= limit then return 'full' end
    if hostLimit > 0 and host ~= '' and tonumber(redis.call('HGET', KEYS[4], host) or '0') >= hostLimit then
      return 'host-full'
    end
  end
  if after == 'waiting' or after == 'blocked' or after == 'rolling-back' then
    local holder = redis.call('HGET', KEYS[7], identity)
    if holder and holder ~= run then return 'claimed ' .. holder end
    if not holder then redis.call('HSET', KEYS[7], identity, run) end
  elseif after == 'cancelled' or after == 'discarded' or after == 'rolled-back' then
    if redis.call('HGET', KEYS[7], identity) == run then redis.call('HDEL', KEYS[7], identity) end
  end
  redis.call('HINCRBY', KEYS[2], before, -1)
  redis.call('HINCRBY', KEYS[2], after, 1)
  if host ~= '' and before == 'moving' then redis.call('HINCRBY', KEYS[4], host, -1) end
  if host ~= '' and after == 'moving' then redis.call('HINCRBY', KEYS[4], host, 1) end
  if group ~= '' and before == 'landed' then redis.call('HINCRBY', KEYS[3], 'landed ' .. group, -1) end
  if group ~= '' and after == 'landed' then redis.call('HINCRBY', KEYS[3], 'landed ' .. group, 1) end
  if after == 'waiting' then
    redis.call('ZADD', KEYS[5], position, name)
    if hostLimit > 0 then redis.call('ZADD', KEYS[5] .. ':' .. host, position, name) end
  elseif before == 'waiting' then
    redis.call('ZREM', KEYS[5], name)
    if hostLimit > 0 then redis.call('ZREM', KEYS[5] .. ':' .. host, name) end
  end
end
if group ~= '' and (wasTroubled == '1') ~= (troubled == '1') then
  redis.call('HINCRBY', KEYS[3], 'troubled ' .. group, troubled == '1' and 1 or -1)
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'status', after, 'troubled', troubled, 'mark', ARGV[17], 'json', ARGV[3])
if ARGV[16] == '1' then redis.call('DEL', KEYS[8]) end
for i = 18, #ARGV do redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[14], '*', 'event', ARGV[i]) end
return 'committed'
`);
