import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cancelMachine, retryMachine, startMachine } from '../../src/domain/machine-changes.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { openCheckpoints } from '../../src/state/checkpoints.ts';
import { keys } from '../../src/state/keys.ts';
import { acquireLease, type Lease } from '../../src/state/lease.ts';
import { openLedger, readLedger } from '../../src/state/ledger.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openSlots, sweepSlots } from '../../src/state/slots.ts';
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

async function createRun(id: string, machines: string[], limit = 10): Promise<MachineRecord[]> {
  const run = makeRun(id, makeWave(`wave-of-${id}`, machines, { machines: limit }));
  const records = makeRecords(run);
  await state.runs.create(run, records);
  return records;
}

const moved = (record: MachineRecord): MachineRecord => startMachine(record, 1) ?? record;

async function readRecord(run: string, name: string): Promise<MachineRecord> {
  const record = await state.machines.get(run, name);
  if (record === null) throw new Error(`no record of ${name}`);
  return record;
}

/** Nobody is told to stop. */
const lasting = new AbortController().signal;

async function takeLease(step: string): Promise<Lease> {
  const reply = await acquireLease(state.redis, { run: 'r', machine: 'm', step });
  if (reply.kind === 'taken') throw new Error('the lease is taken');
  return reply.lease;
}

describe('a run', () => {
  test('is created with its machines waiting in the order of the wave', async () => {
    await createRun('r1', ['zeta', 'alpha', 'mid']);
    expect(await state.machines.nextWaiting('r1', { count: 2 })).toEqual(['zeta', 'alpha']);
    expect(await state.machines.counts('r1')).toMatchObject({ waiting: 3, moving: 0 });
  });

  test('is refused, whole, when a machine belongs to another live run, and the error names that run', async () => {
    await createRun('r1', ['a', 'b']);
    await expect(createRun('r2', ['c', 'b'])).rejects.toMatchObject({
      code: 'machine-busy',
      message: expect.stringMatching(/b belongs to run r1 \(running\)\..*`landfall archive r1`/),
    });
    expect(await state.runs.get('r2')).toBeNull();
    expect(await state.redis.hget(keys.claims, 'files:/estate/c')).toBeNull();
  });

  test('is refused by an ended run too, in both runs’ words and with the command that helps', async () => {
    const [record] = await createRun('r1', ['a']);
    const run = await state.runs.get('r1');
    if (run === null || record === undefined) throw new Error('no run');
    await state.runs.commit({ ...run, status: 'landed' });
    const again = makeRun('r2', makeWave('other', ['renamed']));
    const [other] = makeRecords(again);
    if (other === undefined) throw new Error('no record');
    const { identity } = record.machine;
    const renamed = { ...other, machine: { ...other.machine, identity } };
    await expect(state.runs.create(again, [renamed])).rejects.toMatchObject({
      code: 'machine-busy',
      message:
        'Wave other was not started: renamed is a of run r1 (landed). `landfall archive r1` lets go of its machines.',
      context: { machine: 'renamed', run: 'r1' },
    });
  });

  test('is refused when its wave has an unarchived run', async () => {
    const [record] = await createRun('r1', ['a']);
    const again = makeRun('r2', makeWave('wave-of-r1', ['x']));
    await expect(state.runs.create(again, [])).rejects.toMatchObject({ code: 'conflict' });
    expect(record?.run).toBe('r1');
  });

  test('gives up its wave and its machines when it is archived, once they are all at rest', async () => {
    const [record] = await createRun('r1', ['a']);
    const run = await state.runs.get('r1');
    if (run === null || record === undefined) throw new Error('no run');
    const { identity } = record.machine;
    expect(await state.runs.archive({ ...run, archivedAt: 5 }, [identity])).toBe(false);
    const failed: MachineRecord = { ...record, status: 'failed' };
    await state.machines.commit({ record: failed, events: [], limit: 10, lease: null });
    expect(await state.runs.archive({ ...run, archivedAt: 5 }, [identity])).toBe(true);
    expect(await state.runs.ofWave('wave-of-r1')).toBeNull();
    await createRun('r2', ['a']);
    expect(await state.redis.hget(keys.claims, identity)).toBe('r2');
    const retried = retryMachine(await readRecord('r1', 'a'));
    if (retried === null) throw new Error('not retried');
    const reply = await state.machines.commit({ record: retried, events: [], limit: 10, lease: null });
    expect(reply).toEqual({ kind: 'claimed', by: 'r2' });
  });
});

describe('a commit', () => {
  test('of a stale version changes nothing', async () => {
    const [record] = await createRun('r1', ['a']);
    if (record === undefined) throw new Error('no record');
    expect(
      await state.machines.commit({ record: moved(record), events: [], limit: 10, lease: null }),
    ).toEqual({
      kind: 'committed',
    });
    expect(
      await state.machines.commit({ record: moved(record), events: [], limit: 10, lease: null }),
    ).toEqual({
      kind: 'conflict',
    });
    expect(await state.machines.counts('r1')).toMatchObject({ waiting: 0, moving: 1 });
    expect((await readRecord('r1', 'a')).version).toBe(1);
  });

  test('never lets more machines move than the limit, however many try at once', async () => {
    const names = Array.from({ length: 20 }, (_none, i) => `m${i}`);
    const records = await createRun('r1', names, 3);
    const replies = await Promise.all(
      records.map((record) =>
        state.machines.commit({ record: moved(record), events: [], limit: 3, lease: null }),
      ),
    );
    expect(replies.filter((reply) => reply.kind === 'committed')).toHaveLength(3);
    expect(replies.filter((reply) => reply.kind === 'full')).toHaveLength(17);
    expect(await state.machines.counts('r1')).toMatchObject({ waiting: 17, moving: 3 });
  });

  test('appends its events in the same step', async () => {
    const [record] = await createRun('r1', ['a']);
    if (record === undefined) throw new Error('no record');
    const event = { type: 'run', run: 'r1', status: 'running' } as const;
    await state.machines.commit({ record: moved(record), events: [event, event], limit: 10, lease: null });
    await state.machines.commit({ record: moved(record), events: [event], limit: 10, lease: null });
    const events = await Array.fromAsync(state.events.readAll('r1', '0'));
    expect(events.map((each) => each.type)).toEqual(['run', 'run']);
    expect(await Array.fromAsync(state.events.readAll('r1', events[1]?.id ?? ''))).toEqual([]);
  });

  test('of a cancelled machine frees it for another run; its retry is refused while that run lives', async () => {
    const [record] = await createRun('r1', ['a']);
    if (record === undefined) throw new Error('no record');
    const cancelled = cancelMachine(record, 2);
    if (cancelled === null) throw new Error('not cancelled');
    await state.machines.commit({ record: cancelled, events: [], limit: 10, lease: null });
    await createRun('r2', ['a']);
    const retried = retryMachine(await readRecord('r1', 'a'));
    if (retried === null) throw new Error('not retried');
    expect(await state.machines.commit({ record: retried, events: [], limit: 10, lease: null })).toEqual({
      kind: 'claimed',
      by: 'r2',
    });
  });
});

describe('a lease', () => {
  test('is held by one attempt at a time and given back at once when disposed', async () => {
    const first = await takeLease('upload/0');
    const second = await acquireLease(state.redis, { run: 'r', machine: 'm', step: 'upload/0' });
    expect(second).toMatchObject({ kind: 'taken' });
    await first[Symbol.asyncDispose]();
    const third = await takeLease('upload/0');
    expect(third.token).not.toBe(first.token);
    await third[Symbol.asyncDispose]();
  });

  test('that was taken over refuses writes to the ledger and to checkpoints', async () => {
    const stale = await takeLease('import');
    await state.redis.del(stale.key); // as if it had run out
    const next = await takeLease('import');
    const ledger = openLedger({
      redis: state.redis,
      clock: state.clock,
      run: 'r',
      machine: 'm',
      lease: stale,
      signal: lasting,
    });
    await expect(ledger.intend('image')).rejects.toMatchObject({ code: 'lease-lost' });
    const checkpoints = openCheckpoints({
      redis: state.redis,
      run: 'r',
      machine: 'm',
      lease: stale,
      signal: lasting,
    });
    await expect(checkpoints.set('upload/0', 1)).rejects.toMatchObject({ code: 'lease-lost' });
    await expect(checkpoints.setBytes('page', Buffer.alloc(1))).rejects.toMatchObject({ code: 'lease-lost' });
    await expect(checkpoints.delete('page')).rejects.toMatchObject({ code: 'lease-lost' });
    expect(await readLedger(state.redis, { run: 'r', machine: 'm' })).toEqual([]);
    await stale[Symbol.asyncDispose]();
    expect(await state.redis.hget(next.key, 'token')).toBe(next.token); // not released by the stale one
    await next[Symbol.asyncDispose]();
  });

  test('aborts its holder when somebody else holds it', async () => {
    const lease = await takeLease('convert');
    await state.redis.hset(lease.key, 'token', '999999');
    await expect.poll(() => lease.signal.aborted, { timeout: 5_000, interval: 50 }).toBe(true);
    await lease[Symbol.asyncDispose]();
  });
});

describe('checkpoints', () => {
  test('keep JSON and bytes as they were given, until they are deleted', async () => {
    await using lease = await takeLease('upload/0');
    const checkpoints = openCheckpoints({
      redis: state.redis,
      run: 'r',
      machine: 'm',
      lease,
      signal: lasting,
    });
    const around = randomBytes(4_100);
    const page = around.subarray(2, 4_098); // no text, and a view of more
    await checkpoints.setBytes('page/0', page);
    await checkpoints.setBytes('page/2', Buffer.from([0]));
    await checkpoints.set('head', { parts: 3 });
    const read = await checkpoints.getBytes(['page/0', 'page/1', 'page/2']);
    expect(read.map((bytes) => bytes && Buffer.from(bytes))).toEqual([page, null, Buffer.from([0])]);
    expect(await checkpoints.get('head')).toEqual({ parts: 3 });
    await checkpoints.delete('page/0', 'page/1', 'head');
    expect(await checkpoints.getBytes(['page/0', 'page/2'])).toEqual([null, Buffer.from([0])]);
    expect(await checkpoints.get('head')).toBeNull();
    expect(await checkpoints.getBytes([])).toEqual([]);
    await checkpoints.delete();
  });
});

describe('the ledger', () => {
  test('gives the open entry again, and a new generation with a new token once it was settled as failed', async () => {
    await using lease = await takeLease('import');
    const ledger = openLedger({
      redis: state.redis,
      clock: state.clock,
      run: 'r',
      machine: 'm',
      lease,
      signal: lasting,
    });
    const first = await ledger.intend('import-task:0');
    expect(await ledger.intend('import-task:0')).toEqual(first);
    await ledger.settle(first, 'done', { taskId: 'import-snap-1' });
    expect((await ledger.intend('import-task:0')).ref).toEqual({ taskId: 'import-snap-1' });
    await ledger.settle(first, 'failed', { message: 'deleted' });
    const second = await ledger.intend('import-task:0');
    expect(second).toMatchObject({ generation: 2, state: 'intended', ref: null });
    expect(second.token).not.toBe(first.token);
    expect((await ledger.entries()).map((entry) => [entry.generation, entry.state, entry.ref])).toEqual([
      [1, 'failed', { message: 'deleted' }],
      [2, 'intended', null],
    ]);
  });
});

describe('the ledger’s newest generation', () => {
  test('stays the newest when an older one is settled again', async () => {
    await using lease = await takeLease('import');
    const ledger = openLedger({
      redis: state.redis,
      clock: state.clock,
      run: 'r',
      machine: 'm',
      lease,
      signal: lasting,
    });
    const first = await ledger.settle(await ledger.intend('image'), 'failed');
    const second = await ledger.settle(await ledger.intend('image'), 'done');
    await ledger.settle(second, 'discarded');
    await ledger.settle(first, 'discarded');
    const third = await ledger.intend('image');
    expect(third.generation).toBe(3);
    expect(new Set([first.token, second.token, third.token]).size).toBe(3);
  });
});

describe('a fenced commit', () => {
  test('is refused once another attempt holds the lease', async () => {
    const [record] = await createRun('r1', ['a']);
    if (record === undefined) throw new Error('no record');
    const stale = await takeLease('import');
    await state.redis.del(stale.key);
    await using next = await takeLease('import');
    const commit = { record: moved(record), events: [], limit: 10 };
    expect(await state.machines.commit({ ...commit, lease: stale })).toEqual({ kind: 'stale' });
    expect(await state.machines.commit({ ...commit, lease: next })).toEqual({ kind: 'committed' });
    await stale[Symbol.asyncDispose]();
  });
});

describe('slots', () => {
  test('are capped across machines, idempotent per holder, and given back when their machine is no longer on the move', async () => {
    const records = await createRun('r1', ['a', 'b', 'c']);
    for (const record of records.slice(0, 2)) {
      await state.machines.commit({ record: moved(record), events: [], limit: 10, lease: null });
    }
    await using lease = await takeLease('import');
    const slotsOf = (machine: string) => openSlots({ redis: state.redis, run: 'r1', machine, lease });
    const [a, b, c] = [slotsOf('a'), slotsOf('b'), slotsOf('c')];
    expect(await c.claim({ name: 'tasks', holder: '0', limit: 2 })).toBe(false); // waits
    expect(await a.claim({ name: 'tasks', holder: '0', limit: 2 })).toBe(true);
    expect(await a.claim({ name: 'tasks', holder: '0', limit: 2 })).toBe(true);
    expect(await b.claim({ name: 'tasks', holder: '0', limit: 2 })).toBe(true);
    expect(await b.claim({ name: 'tasks', holder: '1', limit: 2 })).toBe(false);
    await a.release({ name: 'tasks', holder: '0' });
    expect(await b.claim({ name: 'tasks', holder: '1', limit: 2 })).toBe(true);
    await sweepSlots(state.redis);
    expect(await state.redis.hlen(keys.slots('tasks'))).toBe(2);
    const failed: MachineRecord = { ...(await readRecord('r1', 'b')), status: 'failed' };
    await state.machines.commit({ record: failed, events: [], limit: 10, lease: null });
    await sweepSlots(state.redis);
    expect(await state.redis.hlen(keys.slots('tasks'))).toBe(0);
    expect(await b.claim({ name: 'tasks', holder: '0', limit: 2 })).toBe(false);
  });
});
