/** Machine records, committed by compare-and-set, and what the commits count. */
import type { Redis } from 'ioredis';
import type { MachineRecord, MachineStatus } from '../domain/machine-record.ts';
import type { RunCounts, RunRecord } from '../domain/run-record.ts';
import { type Commit, type CommitResult, commitMachine } from './commit-machine.ts';
import { keys } from './keys.ts';
import { readCounts } from './run-counts.ts';
import type { RunStore } from './run-store.ts';
import { createScript } from './script.ts';

/** All that a decision about a machine goes by, of one instant. */
export type Standing = { run: RunRecord; record: MachineRecord | null; counts: RunCounts };

/** A record as it was committed, and the mark of that commit. */
export type KnownRecord = { record: MachineRecord; mark: string };

export type WaitingWanted = {
  count: number;
  /** Machines on the move at once per host; left out: hosts do not count. */
  limitPerHost?: number | undefined;
};

export interface MachineStore {
  get(run: string, name: string): Promise<MachineRecord | null>;
  all(run: string, names: readonly string[]): Promise<MachineRecord[]>;
  /** null: there is no such run. `known`: spares reading the record again where it is still that one. */
  standing(of: { run: string; machine: string }, known?: KnownRecord | null): Promise<Standing | null>;
  /** By name, of those that there are. */
  statuses(run: string, names: readonly string[]): Promise<Map<string, MachineStatus>>;
  /** Of each, by name: whether one changed costs less to ask than what it is now. */
  versions(run: string, names: readonly string[]): Promise<Map<string, number>>;
  commit(commit: Commit): Promise<CommitResult>;
  counts(run: string): Promise<RunCounts>;
  /** The first machines that wait for a slot, in the wave's order, and whose host is not full. */
  nextWaiting(run: string, wanted: WaitingWanted): Promise<string[]>;
  /** The machines that come after this machine or group. */
  dependents(run: string, node: string): Promise<string[]>;
  /** The machines and groups that others come after. */
  prerequisites(run: string): Promise<string[]>;
}

/** A pipeline of this many short replies is read in a few milliseconds. */
const PAGE = 1_000;

export function createMachineStore(redis: Redis, runs: RunStore): MachineStore {
  return {
    async get(run, name) {
      return parse(await redis.hget(keys.machine(run, name), 'json'));
    },

    async all(run, names) {
      return (await readEach(redis, { run, names, field: 'json' })).flatMap((json) => parse(json) ?? []);
    },

    async standing(of, known = null) {
      const reply = (await STANDING(
        redis,
        [keys.run(of.run), keys.machine(of.run, of.machine), keys.counts(of.run), keys.groups(of.run)],
        [known?.mark ?? ''],
      )) as [string | null, string | null, string[], string[], number];
      const [mark, json, byStatus, ofGroups, isKnown] = reply;
      const run = mark === null ? null : await runs.at(of.run, mark);
      if (run === null) return null;
      const record = isKnown === 1 && known !== null ? known.record : parse(json);
      return { run, record, counts: readCounts(byStatus, ofGroups) };
    },

    async statuses(run, names) {
      const read = await readEach(redis, { run, names, field: 'status' });
      const known = new Map<string, MachineStatus>();
      for (const [index, name] of names.entries()) {
        const status = read[index] ?? null;
        if (status !== null) known.set(name, status as MachineStatus);
      }
      return known;
    },

    async versions(run, names) {
      const read = await readEach(redis, { run, names, field: 'version' });
      const known = new Map<string, number>();
      for (const [index, name] of names.entries()) {
        const version = read[index] ?? null;
        if (version !== null) known.set(name, Number(version));
      }
      return known;
    },

    commit: (commit) => commitMachine(redis, commit),

    async counts(run) {
      const reply = await COUNTS(redis, [keys.counts(run), keys.groups(run)], []);
      const [byStatus, ofGroups] = reply as [string[], string[]];
      return readCounts(byStatus, ofGroups);
    },

    async nextWaiting(run, { count, limitPerHost }) {
      if (count === 0) return [];
      if (limitPerHost !== undefined) return nextOnHosts(redis, { run, count, limitPerHost });
      return redis.zrange(keys.waiting(run), '0', String(count - 1));
    },

    async dependents(run, node) {
      return JSON.parse((await redis.hget(keys.dependents(run), node)) ?? '[]') as string[];
    },

    prerequisites: (run) => redis.hkeys(keys.dependents(run)),
  };
}

async function readEach(
  redis: Redis,
  { run, names, field }: { run: string; names: readonly string[]; field: string },
): Promise<(string | null)[]> {
  const values: (string | null)[] = [];
  for (let at = 0; at < names.length; at += PAGE) {
    const pipeline = redis.pipeline();
    for (const name of names.slice(at, at + PAGE)) pipeline.hget(keys.machine(run, name), field);
    for (const [error, value] of (await pipeline.exec()) ?? []) {
      if (error !== null) throw error;
      values.push(value as string | null);
    }
  }
  return values;
}

/** Asks only hosts that have room, so that one host's long queue hides nobody. Machines of no host are not limited. */
async function nextOnHosts(
  redis: Redis,
  { run, count, limitPerHost }: { run: string; count: number; limitPerHost: number },
): Promise<string[]> {
  const moving = Object.entries(await redis.hgetall(keys.hosts(run)));
  const rooms = moving.map(([host, busy]) => [host, limitPerHost - Number(busy)] as const);
  const pipeline = redis.pipeline();
  for (const [host, room] of [['', count] as const, ...rooms])
    if (room > 0) {
      const last = Math.min(room, count) - 1;
      pipeline.zrange(keys.waitingOn(run, host), '0', String(last), 'WITHSCORES');
    }
  const found: { name: string; position: number }[] = [];
  for (const [error, reply] of (await pipeline.exec()) ?? []) {
    if (error !== null) throw error;
    const flat = reply as string[];
    for (let i = 0; i + 1 < flat.length; i += 2)
      found.push({ name: flat[i] ?? '', position: Number(flat[i + 1]) });
  }
  return found
    .sort((a, b) => a.position - b.position)
    .slice(0, count)
    .map(({ name }) => name);
}

const STANDING = createScript(`
local isKnown = ARGV[1] ~= '' and redis.call('HGET', KEYS[2], 'mark') == ARGV[1]
return {
  redis.call('HGET', KEYS[1], 'mark'),
  not isKnown and redis.call('HGET', KEYS[2], 'json'),
  redis.call('HGETALL', KEYS[3]),
  redis.call('HGETALL', KEYS[4]),
  isKnown and 1 or 0
}
`);

const COUNTS = createScript(`return { redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }`);

function parse(json: string | null | undefined): MachineRecord | null {
  return json === null || json === undefined ? null : (JSON.parse(json) as MachineRecord);
}
