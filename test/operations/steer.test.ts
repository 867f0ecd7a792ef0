import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Job } from '../../src/domain/job.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { Ledger, LedgerEntry, Source, Target } from '../../src/domain/ports.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import { archiveRun } from '../../src/operations/archive-run.ts';
import { type DiscardDeps, discardMachines } from '../../src/operations/discard.ts';
import { findMachines, findRun } from '../../src/operations/find-run.ts';
import { cancelMachines, releaseMachines, retryMachines } from '../../src/operations/steer.ts';
import { attemptStep, type RunStep } from '../../src/queue/attempt.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import { acquireLease } from '../../src/state/lease.ts';
import { openLedger } from '../../src/state/ledger.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

let server: RedisServer;
let state: State;
let queues: Queues;
let conductor: Conductor;
let stagingFolder: string;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
  queues = openQueues(server.url);
  conductor = createConductor({ state, queues });
  stagingFolder = await mkdtemp(join(tmpdir(), 'landfall-steer-'));
});
beforeEach(async () => {
  await state.redis.flushall();
});
afterAll(async () => {
  await queues[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(stagingFolder, { recursive: true, force: true });
});

async function begin(machines: string[], limit = 10): Promise<RunRecord> {
  const run = makeRun('r1', makeWave('w', machines, { machines: limit }));
  await state.runs.create(run, makeRecords(run));
  await conductor.advanceRun(run.id);
  return run;
}

const cancel = async (run: RunRecord): Promise<string[]> =>
  cancelMachines(
    { run, machines: await findMachines(state, run, undefined), reason: null },
    { state, conductor, by: 'ann@host' },
  );

const retry = async (run: RunRecord): Promise<string[]> =>
  retryMachines(
    { run, machines: await findMachines(state, run, undefined), reason: null },
    { state, conductor, by: 'ann@host' },
  );

async function read(name: string): Promise<MachineRecord> {
  const record = await state.machines.get('r1', name);
  if (record === null) throw new Error('no record');
  return record;
}

function discardDeps(discard: (entry: LedgerEntry) => Promise<void>): DiscardDeps {
  const source = { release: async () => {} } as unknown as Source;
  const target = { discard } as unknown as Target;
  return {
    state,
    conductor,
    source,
    target,
    stagingFolder,
    resolve: (plan) => plan,
    by: 'ann@host',
    signal: new AbortController().signal,
  };
}

/** An attempt at a step of machine a, as far as it can make things: its lease, and a ledger under it. */
async function beginAttempt(step: string): Promise<AsyncDisposable & { ledger: Ledger }> {
  const of = { run: 'r1', machine: 'a' };
  const reply = await acquireLease(state.redis, { ...of, step });
  if (reply.kind === 'taken') throw new Error('taken');
  const { lease } = reply;
  const ledger = openLedger({ redis: state.redis, clock: state.clock, ...of, lease, signal: lease.signal });
  return { ledger, [Symbol.asyncDispose]: () => lease[Symbol.asyncDispose]() };
}

const exportJob = (machine: string): Job => ({
  run: 'r1',
  machine,
  stage: 'export',
  disk: '0',
  pass: 0,
  try: 1,
});

describe('cancelling a run', () => {
  test('starts none of the machines that wait', async () => {
    const run = await begin(['a', 'b', 'c', 'd', 'e', 'f'], 2);
    expect(await cancel(run)).toHaveLength(6);
    const events = await Array.fromAsync(state.events.readAll('r1', '0'));
    const started = events.filter((event) => event.type === 'machine' && event.status === 'moving');
    expect(started).toHaveLength(2); // those that moved before
    expect((await findRun(state, 'r1')).status).toBe('cancelled');
  });
});

describe('a retry', () => {
  test('that lands between counting and settling leaves the run running', async () => {
    const run = await begin(['a']);
    await cancel(run);
    const counts = state.machines.counts;
    let isFirst = true;
    const racing: State = {
      ...state,
      machines: {
        ...state.machines,
        async counts(id) {
          const read = await counts(id);
          if (isFirst) {
            isFirst = false;
            await retry(run);
          }
          return read;
        },
      },
    };
    await createConductor({ state: racing, queues }).advanceRun('r1');
    expect((await findRun(state, 'r1')).status).toBe('running');
  });

  test('of an archived run is refused and changes nothing', async () => {
    const run = await begin(['a']);
    await cancel(run);
    await archiveRun('r1', { state, queues, by: 'ann@host' });
    const archived = await findRun(state, 'r1');
    await expect(retry(archived)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('archived'),
    });
    expect((await read('a')).status).toBe('cancelled');
  });

  test('is told before what it does, with who did it; one that does nothing is not told', async () => {
    const run = await begin(['a']);
    await retry(run);
    await cancel(run);
    await retry(run);
    const events = await Array.fromAsync(state.events.readAll('r1', '0'));
    const told = events.map((event) => {
      if (event.type === 'operator') return `${event.action} by ${event.by}`;
      return event.type === 'machine' ? event.status : null;
    });
    expect(told.filter((each) => each !== null)).toEqual([
      'moving',
      'cancel by ann@host',
      'cancelled',
      'retry by ann@host',
      'waiting',
      'moving',
    ]);
  });

  test('is not undone by a stop signal that comes late', async () => {
    const run = await begin(['a']);
    await cancel(run);
    await retry(run);
    const stop = new AbortController();
    const runStep: RunStep = async ({ context }) => {
      stop.abort('stop');
      await sleep(5_000, undefined, { signal: context.signal });
      throw new Error('not reached');
    };
    const job = { ...exportJob('a'), try: 2 };
    const end = await attemptStep({ state, conductor, runStep }, { job, signal: stop.signal });
    expect(end).toMatchObject({ kind: 'later' });
    expect((await read('a')).steps['export/0']).toMatchObject({ state: 'active', try: 2, failures: 0 });
  });
});

describe('a conductor', () => {
  test('tells what it committed, and nothing that others did', async () => {
    const run = await begin(['a']);
    const told: string[] = [];
    const telling = createConductor({ state, queues, onEvent: (event) => void told.push(event.type) });
    const machines = await findMachines(state, run, undefined);
    await cancelMachines({ run, machines, reason: null }, { state, conductor: telling, by: 'ann@host' });
    expect(told).toEqual(['machine']);
    await retry(run);
    expect(told).toEqual(['machine']);
  });
});

describe('a wave whose runs are archived', () => {
  test('names them, so that one can be asked for', async () => {
    const run = await begin(['a']);
    await cancel(run);
    await archiveRun('r1', { state, queues, by: 'ann@host' });
    await expect(findRun(state, 'w')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(
        /^Wave w has no current run; archived: r1 \(cancelled, ended .* UTC\)\./,
      ),
    });
  });
});

describe('an attempt that lost its lease', () => {
  test('commits no outcome', async () => {
    await begin(['a']);
    const of = { run: 'r1', machine: 'a', step: 'export/0' };
    const runStep: RunStep = async () => {
      await state.redis.del(`{landfall}:lease:r1:a:export/0`);
      await acquireLease(state.redis, of); // the successor
      return {
        kind: 'done',
        value: { stage: 'export', disk: '0', image: { site: null, bytes: 1, layout: { kind: 'blank' } } },
      };
    };
    const signal = new AbortController().signal;
    const end = await attemptStep({ state, conductor, runStep }, { job: exportJob('a'), signal });
    expect(end).toMatchObject({ kind: 'later' });
    expect((await read('a')).steps['export/0']?.state).toBe('active');
  });
});

describe('discarding', () => {
  test('waits for an attempt that has not heard of its end, and removes what that one still made', async () => {
    const run = await begin(['a']);
    const attempt = await beginAttempt('export/0');
    await cancel(run);
    const removed: string[] = [];
    const discarding = discardMachines(
      { run, machines: [await read('a')], reason: null },
      discardDeps(async ({ thing }) => void removed.push(thing)),
    );
    const { ledger } = attempt;
    await ledger.settle(await ledger.intend('instance'), 'done', { instanceId: 'i-1' });
    await attempt[Symbol.asyncDispose]();
    await discarding;
    expect(removed).toEqual(['instance']);
    expect((await read('a')).status).toBe('discarded');
  });

  test('is refused to a retry that comes meanwhile, which then begins anew', async () => {
    const run = await begin(['a']);
    await cancel(run);
    const gate = Promise.withResolvers<void>();
    const inside = Promise.withResolvers<void>();
    const attempt = await beginAttempt('import');
    await attempt.ledger.intend('image');
    await attempt[Symbol.asyncDispose]();
    const discarding = discardMachines(
      { run, machines: [await read('a')], reason: null },
      discardDeps(async () => {
        inside.resolve();
        await gate.promise;
      }),
    );
    await inside.promise;
    await expect(retry(run)).rejects.toMatchObject({ code: 'conflict' });
    gate.resolve();
    await discarding;
    expect(await retry(run)).toEqual(['a']);
    expect((await read('a')).steps['export/0']).toMatchObject({ state: 'active', try: 2 });
  });

  test('tells of a group that the run shares only where it was there before and is gone now', async () => {
    const removedOf = async (run: RunRecord, groups: readonly string[][]) => {
      const seen = [...groups];
      const deps = discardDeps(async () => {});
      const findTagged = async () =>
        (seen.shift() ?? []).map((id) => ({ machine: null, kind: 'security-group', id, detail: '' }));
      const target = { ...deps.target, findTagged } as unknown as Target;
      const removals = await discardMachines(
        { run, machines: [await read('a')], reason: null },
        { ...deps, target },
      );
      return removals.map(({ kind, id }) => `${kind} ${id}`);
    };
    const run = await begin(['a']);
    await cancel(run);
    const quarantine = async () => {
      const attempt = await beginAttempt('import');
      const { ledger } = attempt;
      await ledger.settle(await ledger.intend('quarantine'), 'done', { groupId: 'sg-1' });
      await attempt[Symbol.asyncDispose]();
    };
    await quarantine();
    expect(await removedOf(run, [[], []])).toEqual([]);
    await quarantine();
    expect(await removedOf(run, [['sg-1'], ['sg-1']])).toEqual([]);
    await quarantine();
    expect(await removedOf(run, [['sg-1'], []])).toEqual(['security-group sg-1']);
  });

  test('keeps the machine as it was where something could not be removed', async () => {
    const run = await begin(['a']);
    const attempt = await beginAttempt('import');
    await attempt.ledger.intend('image');
    await attempt[Symbol.asyncDispose]();
    await cancel(run);
    const failing = discardDeps(async () => Promise.reject(new Error('throttled')));
    const removals = await discardMachines({ run, machines: [await read('a')], reason: null }, failing);
    expect(removals).toMatchObject([{ kind: 'image', outcome: 'failed', message: 'throttled' }]);
    expect((await read('a')).status).toBe('cancelled');
  });
});

test('a machine is not released into a window that has closed: it would wait for ever', async () => {
  const over = { timezone: 'UTC', rollbackSeconds: 0, opens: '2020-01-05T22:00', closes: '2020-01-06T04:00' };
  const wave = {
    ...makeWave('w', ['a']),
    window: { kind: 'once', ...over } as const,
    onOverrun: 'finish' as const,
  };
  const run: RunRecord = { ...makeRun('r1', wave), window: { opensAt: 1, closesAt: 2 }, status: 'held' };
  const held = makeRecords(run).map((record) => ({ ...record, status: 'held' as const, startedAt: 1 }));
  await state.runs.create(run, held);
  const release = releaseMachines({ run, machines: held, reason: null }, { state, conductor, by: 'ada' });
  await expect(release).rejects.toThrow(/window of r1 closed .*cutover r1 --now --until 4h/);
  expect((await state.machines.get('r1', 'a'))?.status).toBe('held');
});
