/** Run records, and what hangs on a run as a whole: its wave's name and its claim on source machines. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { LandfallError } from '../domain/errors.ts';
import type { RunEvent } from '../domain/events.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import { isEnded, type RunRecord, type RunStatus } from '../domain/run-record.ts';
import { EVENTS_KEPT } from './event-stream.ts';
import { keys } from './keys.ts';
import { createRunCache } from './run-cache.ts';
import { createScript } from './script.ts';

export interface RunStore {
  /**
   * Creates a run with its machines, all or nothing. Throws `machine-busy` when one of them belongs to another live
   * run and `conflict` when the wave has an unarchived run already.
   */
  create(run: RunRecord, machines: readonly MachineRecord[]): Promise<void>;
  /** The record is shared with others who read the same version: nobody may change it in place. */
  get(id: string): Promise<RunRecord | null>;
  /** As `get`, of a run whose mark was just read: costs nothing where that was seen before. */
  at(id: string, mark: string): Promise<RunRecord | null>;
  /** Of each: another with every change of its record; null: there is no such run. */
  marks(ids: readonly string[]): Promise<(string | null)[]>;
  /** The wave's unarchived run. */
  ofWave(name: string): Promise<string | null>;
  /** Ids, newest first. */
  list(): Promise<string[]>;
  /** Ids of the runs that are not archived. */
  unarchived(): Promise<string[]>;
  /** Compare-and-set on `version`, events included; false: read again and decide again. */
  commit(run: RunRecord, events?: readonly RunEvent[]): Promise<boolean>;
  /** Gives up the wave's name and the claims, and commits. false: a machine is not at rest, or read again and decide again. */
  archive(run: RunRecord, identities: readonly string[]): Promise<boolean>;
}

export function createRunStore(redis: Redis): RunStore {
  const cache = createRunCache(redis);
  const get = async (id: string): Promise<RunRecord | null> => {
    const mark = await redis.hget(keys.run(id), 'mark');
    return mark === null ? null : cache.at(id, mark);
  };
  /** The holder's own name for the machine, and how its run stands. */
  const describeHeld = async ([machine, identity, holder]: readonly [
    string,
    string,
    string,
  ]): Promise<Held> => {
    const run = await get(holder);
    const records = (run?.machines ?? []).map((name) => redis.hget(keys.machine(holder, name), 'json'));
    const names = (await Promise.all(records)).flatMap((json) => {
      const record = json === null ? null : (JSON.parse(json) as MachineRecord);
      return record?.machine.identity === identity ? [record.machine.name] : [];
    });
    return { machine, holder, status: run?.status ?? 'running', knownAs: names[0] ?? machine };
  };
  return {
    get,
    at: cache.at,

    async marks(ids) {
      const pipeline = redis.pipeline();
      for (const id of ids) pipeline.hget(keys.run(id), 'mark');
      return ((await pipeline.exec()) ?? []).map(([error, mark]) => {
        if (error !== null) throw error;
        return mark as string | null;
      });
    },

    async create(run, machines) {
      const perMachine = machines.flatMap((record) => [
        record.machine.name,
        record.machine.identity,
        record.status,
        record.plan.group ?? '',
        record.machine.host ?? '',
        JSON.stringify(record),
      ]);
      const machineKeys = machines.map((record) => keys.machine(run.id, record.machine.name));
      const fixed = [
        keys.run(run.id),
        keys.runs,
        keys.waves,
        keys.claims,
        keys.counts(run.id),
        keys.waiting(run.id),
        keys.groups(run.id),
        keys.hosts(run.id),
        keys.dependents(run.id),
      ];
      const reply = (await redis.eval(
        CREATE,
        fixed.length + machineKeys.length,
        ...fixed,
        ...machineKeys,
        run.id,
        run.wave.name,
        run.createdAt,
        JSON.stringify(run),
        randomUUID(),
        run.wave.limits.machinesPerHost ?? 0,
        machines.length,
        ...perMachine,
        ...dependentsOf(machines).flatMap(([node, names]) => [node, JSON.stringify(names)]),
      )) as string[];
      const [verdict, ...details] = reply;
      if (verdict === 'wave') throw waveHasRun(run, details[0] ?? '');
      if (verdict === 'busy') throw machinesBusy(run, await Promise.all(busyOf(details).map(describeHeld)));
    },

    ofWave: (name) => redis.hget(keys.waves, name),
    list: () => redis.zrange(keys.runs, '0', '-1', 'REV'),
    unarchived: () => redis.hvals(keys.waves),

    async commit(run, events = []) {
      const next = { ...run, version: run.version + 1 };
      const mark = randomUUID();
      const reply = await COMMIT(
        redis,
        [keys.run(run.id), keys.events(run.id)],
        [
          run.version,
          next.version,
          JSON.stringify(next),
          mark,
          EVENTS_KEPT,
          ...events.map((event) => JSON.stringify(event)),
        ],
      );
      if (reply === 1) cache.keep(next, mark);
      return reply === 1;
    },

    async archive(run, identities) {
      const next = { ...run, version: run.version + 1 };
      const reply = await redis.eval(
        ARCHIVE,
        4,
        keys.run(run.id),
        keys.waves,
        keys.claims,
        keys.counts(run.id),
        run.version,
        next.version,
        JSON.stringify(next),
        run.id,
        run.wave.name,
        randomUUID(),
        ...identities,
      );
      return reply === 1;
    },
  };
}

/** Whom a landing sets free: by machine or group, the names of those that come after it. */
function dependentsOf(machines: readonly MachineRecord[]): [string, string[]][] {
  const dependents = new Map<string, string[]>();
  for (const { after, machine } of machines)
    for (const node of after) {
      const names = dependents.get(node);
      if (names === undefined) dependents.set(node, [machine.name]);
      else names.push(machine.name);
    }
  return [...dependents];
}

const CREATE = `
local run, wave, hostLimit, last = ARGV[1], ARGV[2], tonumber(ARGV[6]), 7 + 6 * tonumber(ARGV[7])
local other = redis.call('HGET', KEYS[3], wave)
if other then return {'wave', other} end
local busy = {'busy'}
for i = 8, last, 6 do
  local holder = redis.call('HGET', KEYS[4], ARGV[i + 1])
  if holder then
    busy[#busy + 1] = ARGV[i]
    busy[#busy + 1] = ARGV[i + 1]
    busy[#busy + 1] = holder
  end
end
if #busy > 1 then return busy end
redis.call('HSET', KEYS[1], 'version', 0, 'mark', ARGV[5], 'json', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], run)
redis.call('HSET', KEYS[3], wave, run)
local position = 0
for i = 8, last, 6 do
  local name, identity, status, group, host = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  redis.call('HSET', KEYS[4], identity, run)
  redis.call('HSET', KEYS[10 + position], 'version', 0, 'status', status, 'troubled', 0, 'json', ARGV[i + 5])
  redis.call('HINCRBY', KEYS[5], status, 1)
  if group ~= '' then redis.call('HINCRBY', KEYS[7], 'machines ' .. group, 1) end
  if host ~= '' then redis.call('HSETNX', KEYS[8], host, 0) end
  if status == 'waiting' then
    redis.call('ZADD', KEYS[6], position, name)
    if hostLimit > 0 then redis.call('ZADD', KEYS[6] .. ':' .. host, position, name) end
  end
  position = position + 1
end
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[9], ARGV[i], ARGV[i + 1]) end
return {'created'}
`;

const COMMIT = createScript(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'mark', ARGV[4], 'json', ARGV[3])
for i = 6, #ARGV do redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'event', ARGV[i]) end
return 1
`);

const ARCHIVE = `
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return 0 end
for _, live in ipairs(redis.call('HMGET', KEYS[4], 'waiting', 'moving', 'rolling-back')) do
  if live and tonumber(live) > 0 then return 0 end
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'mark', ARGV[6], 'json', ARGV[3])
if redis.call('HGET', KEYS[2], ARGV[5]) == ARGV[4] then redis.call('HDEL', KEYS[2], ARGV[5]) end
for i = 7, #ARGV do
  if redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[4] then redis.call('HDEL', KEYS[3], ARGV[i]) end
end
return 1
`;

/** A machine that another unarchived run holds. */
type Held = { machine: string; holder: string; status: RunStatus; knownAs: string };

/** Of the flat reply: name, identity and holder of each busy machine. */
function busyOf(details: readonly string[]): (readonly [string, string, string])[] {
  const busy: (readonly [string, string, string])[] = [];
  for (let i = 0; i < details.length; i += 3)
    busy.push([details[i] ?? '', details[i + 1] ?? '', details[i + 2] ?? '']);
  return busy;
}

function waveHasRun({ wave }: RunRecord, other: string): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Wave ${wave.name} already has the run ${other}. Follow it with \`landfall watch ${other}\`, or start anew with --again.`,
    context: { run: other },
  });
}

function machinesBusy({ wave }: RunRecord, held: readonly Held[]): LandfallError {
  const busy = held.map(({ machine, knownAs, holder, status }) => {
    const held = knownAs === machine ? 'belongs to' : `is ${knownAs} of`;
    return `${machine} ${held} run ${holder} (${status})`;
  });
  const holders = new Map(held.map(({ holder, status }) => [holder, status]));
  const remedies = [...holders].map(([holder, status]) =>
    !isEnded(status)
      ? `Run ${holder} must end first (or \`landfall cancel ${holder}\`); then \`landfall archive ${holder}\` lets go of its machines.`
      : `\`landfall archive ${holder}\` lets go of its machines.`,
  );
  return new LandfallError({
    code: 'machine-busy',
    message: `Wave ${wave.name} was not started: ${busy.join(', ')}. ${remedies.join(' ')}`,
    context: { machine: held[0]?.machine ?? '', run: held[0]?.holder ?? '' },
  });
}
