/** Pools that operators pause, resume and widen, as live workers and later ones heed it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PoolRef } from '../../src/domain/job.ts';
import { changePool, describePaused, findPaused, readPools } from '../../src/operations/pool-control.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { type Pool, startPool } from '../../src/queue/pool.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import { startScheduler } from '../../src/queue/scheduler.ts';
import { beat, UNSAID } from '../../src/state/heartbeats.ts';
import { concurrencyOf } from '../../src/state/pool-settings.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { listenForSignals } from '../../src/state/signals.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const EXPORT: PoolRef = { pool: 'export', site: null };
let server: RedisServer;
let state: State;
let queues: Queues;
let conductor: Conductor;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  queues = openQueues(server.url);
  conductor = createConductor({ state, queues });
  return () => queues[Symbol.asyncDispose]();
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const change = (of: PoolRef, kind: 'pause' | 'resume'): Promise<boolean> =>
  changePool({ of, change: { kind }, reason: 'night' }, { state, queues, by: 'ann@host' });
const widen = (value: number | null, of = EXPORT): Promise<boolean> =>
  changePool({ of, change: { kind: 'concurrency', value }, reason: null }, { state, queues, by: 'ann@host' });
const pools = async () => new Map((await readPools({ state, queues })).map((each) => [each.pool, each]));

async function begin(machines: string[]): Promise<void> {
  const run = makeRun('r1', makeWave('w', machines));
  await state.runs.create(run, makeRecords(run));
  await conductor.advanceRun(run.id);
}

/** Exports that last until the end of the test. */
async function openExports(
  stack: AsyncDisposableStack,
  concurrency: number,
): Promise<{ pool: Pool; begun: string[] }> {
  const begun: string[] = [];
  const runStep: RunStep = ({ job, context: { signal } }) => {
    begun.push(job.machine);
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const concurrencySet = concurrencyOf(await state.pools.read(), EXPORT);
  const of = { stage: 'export', concurrency, concurrencySet, state, conductor, runStep } as const;
  const pool = stack.use(await startPool({ ...of, onError: () => {} }));
  return { pool, begun };
}

const soon = { timeout: 5_000, interval: 20 };

describe('a paused pool', () => {
  test('begins nothing, also with workers that start later, until it is resumed', async () => {
    await using stack = new AsyncDisposableStack();
    expect(await change(EXPORT, 'pause')).toBe(true);
    await begin(['a']);
    const { begun } = await openExports(stack, 4);
    expect((await pools()).get('export')).toMatchObject({
      isPaused: true,
      paused: { by: 'ann@host', reason: 'night' },
      waiting: 1,
      active: 0,
    });
    expect(begun).toEqual([]);
    expect(await change(EXPORT, 'resume')).toBe(true);
    await expect.poll(() => begun, soon).toEqual(['a']);
    await expect.poll(async () => (await pools()).get('export')?.active, soon).toBe(1);
  });

  test('is told to whoever needs it, with who did it and what ends it', async () => {
    await change({ pool: 'upload', site: 'berlin' }, 'pause');
    await change({ pool: 'import', site: null }, 'pause');
    expect(await findPaused(state, null)).toMatchObject([{ pool: 'import' }]);
    const [upload] = await findPaused(state, 'berlin');
    if (upload === undefined) throw new Error('not told');
    expect(describePaused(upload)).toEqual({
      message: 'Pool upload at site berlin is paused by ann@host (night): no upload begins',
      remedy: 'Let it go on: `landfall pool resume upload --site berlin`.',
    });
  });

  test('is said once: who does it again changes nothing, and is not in the audit trail', async () => {
    expect([await change(EXPORT, 'pause'), await change(EXPORT, 'pause')]).toEqual([true, false]);
    expect([await change(EXPORT, 'resume'), await change(EXPORT, 'resume')]).toEqual([true, false]);
    await widen(2, { pool: 'upload', site: 'berlin' });
    const trail = await Array.fromAsync(state.audit.readAll());
    expect(trail.map(({ by, action, reason }) => `${by} ${action} ${reason}`)).toEqual([
      'ann@host pool pause export night',
      'ann@host pool resume export night',
      'ann@host pool concurrency upload 2 --site berlin null',
    ]);
  });

  test('is paused by whoever schedules, where the one who said so died before its queue heard of it', async () => {
    await state.pools.setPaused(EXPORT, { by: 'ann@host', at: 1, reason: null });
    await using scheduler = await startScheduler({ state, queues, conductor, onError: () => {} });
    void scheduler;
    await expect.poll(async () => (await queues.depth(EXPORT)).isPaused, soon).toBe(true);
  });
});

describe('the steps that a pool does at once', () => {
  test('are more at once where an operator says so, also while all that it does lasts', async () => {
    await using stack = new AsyncDisposableStack();
    await begin(['a', 'b', 'c']);
    const { pool, begun } = await openExports(stack, 1);
    await expect.poll(() => begun.length, soon).toBe(1);
    stack.use(
      await listenForSignals(state.redis, {
        onStop: () => {},
        onPools: async () => pool.setConcurrency(concurrencyOf(await state.pools.read(), EXPORT)),
      }),
    );
    await widen(2);
    await expect.poll(() => begun.length, soon).toBe(2);
    expect(pool.concurrency).toBe(2);
    expect(pool.jobs().map(({ machine, step }) => `${machine} ${step}`)).toEqual([
      'a export/0',
      'b export/0',
    ]);
    await widen(null);
    await expect.poll(() => pool.concurrency, soon).toBe(1);
  });

  test('are heeded by workers that start later, and go back to how these were started', async () => {
    await using stack = new AsyncDisposableStack();
    await widen(3);
    const { pool } = await openExports(stack, 1);
    expect(pool.concurrency).toBe(3);
    await pool.setConcurrency(null);
    expect(pool.concurrency).toBe(1);
  });

  test.each([0, 257, 1.5])('are not %d', async (value) => {
    await expect(widen(value)).rejects.toMatchObject({ code: 'usage' });
  });

  test('are not of a site where a pool is the same for all', async () => {
    await expect(widen(2, { pool: 'import', site: 'berlin' })).rejects.toMatchObject({ code: 'usage' });
  });
});

test('pools are listed by queue, of every site that is served or needed, with the slots of all processes', async () => {
  const worker = { host: 'h', pid: 1, schedules: false, ...UNSAID };
  const serving = [{ stage: 'upload' as const, concurrency: 2 }];
  await beat(state.redis, { ...worker, id: 'w1', site: 'berlin', pools: serving }, 1);
  await beat(state.redis, { ...worker, id: 'w2', site: 'berlin', pools: serving }, 2);
  await begin(['a']);
  const told = (await readPools({ state, queues })).map(
    ({ pool, site, slots, waiting }) => `${pool} ${site} ${slots} ${waiting}`,
  );
  expect(told).toEqual([
    'export null 0 1',
    'export berlin 0 0',
    'convert null 0 0',
    'convert berlin 0 0',
    'upload null 0 0',
    'upload berlin 4 0',
    'import null 0 0',
    'validate null 0 0',
    'power null 0 0',
    'power berlin 0 0',
  ]);
});
