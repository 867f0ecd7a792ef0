/** What a commit of a machine keeps true beside its record: claims, counts of groups, hosts, who waits. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  cancelMachine,
  rollBackMachine,
  startMachine,
  unblockMachine,
} from '../../src/domain/machine-changes.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { CommitResult } from '../../src/state/commit-machine.ts';
import { keys } from '../../src/state/keys.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

let server: RedisServer;
let state: State;
beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

type Wish = { group?: string; after?: string[]; host?: string };

async function createRun(id: string, wishes: Record<string, Wish>, machinesPerHost?: number): Promise<void> {
  const names = Object.keys(wishes);
  const base = makeWave(`wave-of-${id}`, names, machinesPerHost === undefined ? {} : { machinesPerHost });
  const machines = base.machines.map((plan) => {
    const { group = null, after = [] } = wishes[plan.name] ?? {};
    return { ...plan, group, after };
  });
  const run = makeRun(id, { ...base, machines });
  const records = makeRecords(run).map((record) => {
    const { host = null } = wishes[record.machine.name] ?? {};
    return { ...record, machine: { ...record.machine, host } };
  });
  await state.runs.create(run, records);
}

async function commit(
  run: string,
  name: string,
  change: (record: MachineRecord) => MachineRecord | null,
  limitPerHost?: number,
): Promise<CommitResult> {
  const record = await state.machines.get(run, name);
  const changed = record === null ? null : change(record);
  if (changed === null) throw new Error(`it does not apply to ${name}`);
  return state.machines.commit({ record: changed, events: [], limit: 10, limitPerHost, lease: null });
}

const start = (record: MachineRecord): MachineRecord | null => startMachine(record, 1);
const holderOf = (name: string) => state.redis.hget(keys.claims, `files:/estate/${name}`);

describe('a claim on a source machine', () => {
  test('is held by those that wait for others, too, and given up when the machine went back', async () => {
    await createRun('r1', { db: {}, web: { after: ['db'] } });
    expect(await state.machines.counts('r1')).toMatchObject({ blocked: 1, waiting: 1 });
    expect(await holderOf('web')).toBe('r1');
    await commit('r1', 'db', start);
    await commit('r1', 'db', (record) => rollBackMachine(record, null));
    expect(await holderOf('db')).toBe('r1');
    await commit('r1', 'db', (record) => ({ ...record, status: 'rolled-back' }));
    expect(await holderOf('db')).toBeNull();
  });

  test('is needed for the way back: another run may copy that machine by now', async () => {
    await createRun('r1', { a: {} });
    await commit('r1', 'a', start);
    await commit('r1', 'a', (record) => cancelMachine(record, 2));
    await createRun('r2', { a: {} });
    expect(await commit('r1', 'a', (record) => rollBackMachine(record, null))).toEqual({
      kind: 'claimed',
      by: 'r2',
    });
    expect(await state.machines.counts('r1')).toMatchObject({ cancelled: 1, 'rolling-back': 0 });
  });
});

describe('the counts of a group', () => {
  test('follow landings and troubles, there and back', async () => {
    await createRun('r1', { a: { group: 'g' }, b: { group: 'g' }, c: {} });
    const groups = async () => (await state.machines.counts('r1')).groups;
    expect(await groups()).toEqual({ g: { machines: 2, landed: 0, troubled: 0 } });
    await commit('r1', 'a', start);
    await commit('r1', 'b', start);
    await commit('r1', 'a', (record) => ({ ...record, status: 'landed' }));
    const error = { code: 'boot-failed', message: 'no', retryable: false, context: {} } as const;
    await commit('r1', 'b', (record) => rollBackMachine(record, error));
    expect(await groups()).toEqual({ g: { machines: 2, landed: 1, troubled: 1 } });
    await commit('r1', 'b', (record) => ({ ...record, status: 'rolled-back' }));
    expect(await groups()).toEqual({ g: { machines: 2, landed: 1, troubled: 1 } });
    await commit('r1', 'b', (record) => ({ ...record, status: 'waiting', error: null }));
    await commit('r1', 'a', (record) => rollBackMachine(record, null));
    expect(await groups()).toEqual({ g: { machines: 2, landed: 0, troubled: 0 } });
  });
});

describe('machines that come after others', () => {
  test('are found by what they wait for, and wait in the wave’s order once they are free', async () => {
    await createRun('r1', { web: { after: ['db', 'net'] }, app: { after: ['db'] }, db: {}, z: {} });
    expect(await state.machines.dependents('r1', 'db')).toEqual(['web', 'app']);
    expect(await state.machines.dependents('r1', 'z')).toEqual([]);
    expect((await state.machines.prerequisites('r1')).toSorted()).toEqual(['db', 'net']);
    expect(await state.machines.nextWaiting('r1', { count: 9 })).toEqual(['db', 'z']);
    await commit('r1', 'app', (record) => unblockMachine(record, 'db'));
    await commit('r1', 'web', (record) => unblockMachine(record, 'db'));
    expect(await state.machines.nextWaiting('r1', { count: 9 })).toEqual(['app', 'db', 'z']);
    expect((await state.machines.statuses('r1', ['web', 'app', 'none'])).get('web')).toBe('blocked');
  });
});

describe('a limit per host', () => {
  const wishes = { a: { host: 'h1' }, b: { host: 'h1' }, c: {}, d: { host: 'h2' }, e: { host: 'h1' } };

  test('refuses one more of that host, however many try at once, and no other', async () => {
    await createRun('r1', wishes, 1);
    const replies = await Promise.all(['a', 'b', 'c', 'd'].map((name) => commit('r1', name, start, 1)));
    expect(replies.map(({ kind }) => kind)).toEqual(['committed', 'full', 'committed', 'committed']);
    expect(replies[1]).toEqual({ kind: 'full', of: 'host' });
    await commit('r1', 'a', (record) => ({ ...record, status: 'failed' }), 1);
    expect(await commit('r1', 'b', start, 1)).toEqual({ kind: 'committed' });
  });

  test('offers only those whose host has room, in the wave’s order', async () => {
    await createRun('r1', wishes, 1);
    const next = (count: number) => state.machines.nextWaiting('r1', { count, limitPerHost: 1 });
    expect(await next(9)).toEqual(['a', 'c', 'd']);
    expect(await next(2)).toEqual(['a', 'c']);
    await commit('r1', 'a', start, 1);
    expect(await next(9)).toEqual(['c', 'd']);
  });
});

describe('a run’s record', () => {
  test('is parsed once for as long as nobody changes it, and read anew when another process did', async () => {
    await createRun('r1', { a: {} });
    const first = await state.runs.get('r1');
    expect(await state.runs.get('r1')).toBe(first);
    expect((await state.machines.standing({ run: 'r1', machine: 'a' }))?.run).toBe(first);
    await using other = openState(server.url);
    const theirs = await other.runs.get('r1');
    if (theirs === null) throw new Error('no run');
    expect(await other.runs.commit({ ...theirs, status: 'held' })).toBe(true);
    expect(await state.runs.get('r1')).toMatchObject({ status: 'held', version: 1 });
    expect(await state.runs.commit({ ...theirs, status: 'running' })).toBe(false);
  });

  test('of a Redis that lost what was written last is not mistaken for the one that was lost', async () => {
    await createRun('r1', { a: {} });
    const saved = await state.redis.hgetall(keys.run('r1'));
    const run = await state.runs.get('r1');
    if (run === null) throw new Error('no run');
    await state.runs.commit({ ...run, status: 'held' });
    await state.redis.hset(keys.run('r1'), saved);
    await using other = openState(server.url);
    await other.runs.commit({ ...run, status: 'landed' });
    expect(await state.runs.get('r1')).toMatchObject({ version: 1, status: 'landed' });
  });
});
