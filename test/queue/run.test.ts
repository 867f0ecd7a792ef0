import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Job as BullJob, Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import { type Job, POOLS, type PoolName, stepKey } from '../../src/domain/job.ts';
import { retryMachine } from '../../src/domain/machine-changes.ts';
import type { RunRecord, RunStatus } from '../../src/domain/run-record.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { attemptStep } from '../../src/queue/attempt.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { type Pool, startPool } from '../../src/queue/pool.ts';
import { openQueues, type Queues, queueConnection } from '../../src/queue/queues.ts';
import { startScheduler } from '../../src/queue/scheduler.ts';
import { PREFIX } from '../../src/state/keys.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { listenForSignals } from '../../src/state/signals.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { succeed } from './run-ground.ts';

let server: RedisServer;
let state: State;
let queues: Queues;
let conductor: Conductor;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
  queues = openQueues(server.url);
  conductor = createConductor({ state, queues });
});
afterAll(async () => {
  await queues[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function begin(machines: string[], { disks = 1, limit = 10, tries = 3 } = {}): Promise<RunRecord> {
  const id = `run-${randomUUID().slice(0, 8)}`;
  const names = machines.map((name) => `${name}-${id}`);
  const run = makeRun(id, makeWave(id, names, { machines: limit, tries }));
  await state.runs.create(run, makeRecords(run, disks));
  await conductor.advanceRun(id);
  return run;
}

async function withPools<T>(runStep: RunStep, body: (pools: Pool[]) => Promise<T>): Promise<T> {
  await using stack = new AsyncDisposableStack();
  const onError = (): void => {};
  const open = (stage: PoolName): Promise<Pool> =>
    startPool({ stage, concurrency: 4, state, conductor, runStep, onError });
  const pools = await Promise.all(POOLS.map(open));
  for (const pool of pools) stack.use(pool);
  stack.use(
    await listenForSignals(state.redis, {
      onStop: (signal) => pools.forEach((pool) => void pool.stop(signal)),
    }),
  );
  stack.use(await startScheduler({ state, queues, conductor, onError, reconcileEveryMs: 300 }));
  return await body(pools);
}

async function untilStatus(run: string, status: RunStatus, timeout = 15_000): Promise<void> {
  await expect.poll(async () => (await state.runs.get(run))?.status, { timeout, interval: 50 }).toBe(status);
}

async function only(run: RunRecord): Promise<string> {
  const [name] = run.machines;
  if (name === undefined) throw new Error('no machine');
  return name;
}

describe('a run', () => {
  test('takes every machine through all steps, disks apart, and no more at once than the limit', async () => {
    const seen: string[] = [];
    let moving = 0;
    const run = await begin(['a', 'b', 'c'], { disks: 2, limit: 1 });
    await withPools(
      async (work) => {
        seen.push(`${work.job.machine[0]} ${stepKey(work.job)}`);
        moving = Math.max(moving, (await state.machines.counts(work.run.id)).moving);
        return succeed(work);
      },
      () => untilStatus(run.id, 'landed'),
    );
    const ofA = seen.filter((line) => line.startsWith('a ')).map((line) => line.slice(2));
    expect(ofA.toSorted()).toEqual(
      ['admit', 'convert', 'export/0', 'export/1', 'import', 'upload/0', 'upload/1', 'validate'].toSorted(),
    );
    expect(ofA.indexOf('convert')).toBe(2);
    expect(seen).toHaveLength(24);
    expect(moving).toBe(1);
  });

  test('tries a failed step again after its delay and goes on', async () => {
    const run = await begin(['a']);
    let failures = 0;
    await withPools(
      async (work) => {
        if (work.job.stage === 'upload' && failures++ === 0) {
          throw new LandfallError({ code: 'tool-failed', message: 'busy', retryable: true });
        }
        return succeed(work);
      },
      () => untilStatus(run.id, 'landed'),
    );
    const record = await state.machines.get(run.id, await only(run));
    expect(record?.steps['upload/0']).toMatchObject({ try: 2, failures: 1, state: 'done' });
  });

  test('does not repeat a permanent failure; an operator’s retry goes on from that step', async () => {
    const run = await begin(['a']);
    let isMended = false;
    const calls: string[] = [];
    await withPools(
      async (work) => {
        calls.push(stepKey(work.job));
        if (work.job.stage === 'import' && !isMended)
          throw new LandfallError({ code: 'import-failed', message: 'no' });
        return succeed(work);
      },
      async () => {
        await untilStatus(run.id, 'failed');
        expect(calls).toEqual(['export/0', 'convert', 'upload/0', 'import']);
        isMended = true;
        await conductor.change({ run: run.id, machine: await only(run) }, retryMachine);
        await untilStatus(run.id, 'landed');
      },
    );
    expect(calls.slice(4)).toEqual(['import', 'validate', 'admit']);
  });

  test('gives the worker slot back while a step waits', async () => {
    const run = await begin(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
    const asked = new Map<string, number>();
    let inside = 0;
    let most = 0;
    await withPools(
      async (work) => {
        if (work.job.stage !== 'import') return succeed(work);
        inside += 1;
        most = Math.max(most, inside);
        await sleep(5);
        inside -= 1;
        const times = (asked.get(work.job.machine) ?? 0) + 1;
        asked.set(work.job.machine, times);
        return times < 4 ? { kind: 'wait', afterMs: 50, note: 'task 1 is converting' } : succeed(work);
      },
      () => untilStatus(run.id, 'landed'),
    );
    expect([...asked.values()]).toEqual(Array.from({ length: 8 }, () => 4));
    expect(most).toBeLessThanOrEqual(4);
    const record = await state.machines.get(run.id, await only(run));
    expect(record?.steps.import).toMatchObject({ try: 1, failures: 0 });
  });
});

describe('a second delivery', () => {
  test('does nothing but offer what follows: killed between commit and the next job', async () => {
    const run = await begin(['a']);
    const machine = await only(run);
    const job: Job = { run: run.id, machine, stage: 'export', disk: '0', pass: 0, try: 1 };
    // The first delivery committed, and died before it could add the job for convert.
    const deaf: Queues = { ...queues, add: async () => {} };
    const dying = createConductor({ state, queues: deaf });
    await attemptStep(
      { state, conductor: dying, runStep: succeed },
      { job, signal: new AbortController().signal },
    );
    const convert: Job = { ...job, stage: 'convert', disk: null };
    expect(await queues.look(convert)).toBe('missing');

    let calls = 0;
    const counting: RunStep = (work) => {
      calls += 1;
      return succeed(work);
    };
    await attemptStep({ state, conductor, runStep: counting }, { job, signal: new AbortController().signal });
    expect(calls).toBe(0);
    expect(await queues.look(convert)).toBe('live');
  });

  test('waits while the first still holds the lease', async () => {
    const run = await begin(['a']);
    const job: Job = { run: run.id, machine: await only(run), stage: 'export', disk: '0', pass: 0, try: 1 };
    const gate = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const slow: RunStep = async (work) => {
      started.resolve();
      await gate.promise;
      return succeed(work);
    };
    const first = attemptStep(
      { state, conductor, runStep: slow },
      { job, signal: new AbortController().signal },
    );
    await started.promise;
    const second = await attemptStep(
      { state, conductor, runStep: succeed },
      { job, signal: new AbortController().signal },
    );
    expect(second).toMatchObject({ kind: 'later' });
    gate.resolve();
    expect(await first).toEqual({ kind: 'ended' });
  });
});

describe('the reconciler', () => {
  /** Ends the first export job in BullMQ without a word to the record. */
  async function endInBullMq(run: RunRecord, end: (job: BullJob<Job>) => Promise<void>): Promise<void> {
    const seen = Promise.withResolvers<void>();
    const impostor = new Worker<Job>('export', end, {
      connection: queueConnection(server.url),
      prefix: PREFIX,
    });
    const notice = (job: BullJob<Job> | undefined): void => {
      if (job?.data.run === run.id) seen.resolve();
    };
    impostor.on('completed', notice);
    impostor.on('failed', notice);
    await seen.promise;
    await impostor.close();
    const first: Job = { run: run.id, machine: await only(run), stage: 'export', disk: '0', pass: 0, try: 1 };
    expect(await queues.look(first)).toBe('ended');
  }

  test.each([
    ['completed', async () => {}],
    [
      'failed, as by its stall limit',
      async () => Promise.reject(new Error('job stalled more than allowable limit')),
    ],
  ])(
    'raises the try of a job that BullMQ took for %s while its record still wants it',
    async (_what, end) => {
      const run = await begin(['a']);
      await endInBullMq(run, end);
      await withPools(succeed, () => untilStatus(run.id, 'landed'));
      const record = await state.machines.get(run.id, await only(run));
      expect(record?.steps['export/0']).toMatchObject({ try: 2, failures: 1, state: 'done' });
    },
  );

  test('adds a job again that was removed by hand', async () => {
    const run = await begin(['a']);
    const first: Job = { run: run.id, machine: await only(run), stage: 'export', disk: '0', pass: 0, try: 1 };
    await queues.remove([first]);
    expect(await queues.look(first)).toBe('missing');
    await withPools(succeed, () => untilStatus(run.id, 'landed'));
    const record = await state.machines.get(run.id, await only(run));
    expect(record?.steps['export/0']).toMatchObject({ try: 1, state: 'done' });
  });
});

describe('closing a pool', () => {
  test('gives running jobs back within two seconds and another pool goes on at once, without a failed try', async () => {
    const run = await begin(['a']);
    const machine = await only(run);
    const started = Promise.withResolvers<void>();
    const hang: RunStep = async ({ context }) => {
      started.resolve();
      await sleep(60_000, undefined, { signal: context.signal });
      throw new Error('not reached');
    };
    const pool = await startPool({
      stage: 'export',
      concurrency: 1,
      state,
      conductor,
      runStep: hang,
      onError: () => {},
    });
    await started.promise;
    const before = performance.now();
    await pool[Symbol.asyncDispose]();
    expect(performance.now() - before).toBeLessThan(2_000);
    await withPools(succeed, () => untilStatus(run.id, 'landed', 8_000));
    const record = await state.machines.get(run.id, machine);
    expect(record?.steps['export/0']).toMatchObject({ try: 1, failures: 0, state: 'done' });
  });
});

describe('cancelling', () => {
  test('ends attempts in other processes through a signal, and offers nothing more', async () => {
    const run = await begin(['a']);
    const machine = await only(run);
    const aborted = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    await withPools(
      async (work) => {
        if (work.job.stage !== 'upload') return succeed(work);
        started.resolve();
        await sleep(60_000, undefined, { signal: work.context.signal }).catch(() => aborted.resolve());
        throw work.context.signal.reason;
      },
      async () => {
        await started.promise;
        await conductor.change({ run: run.id, machine }, (record, _view, now) => ({
          ...record,
          status: 'cancelled',
          endedAt: now,
        }));
        await aborted.promise;
        await untilStatus(run.id, 'cancelled');
      },
    );
    const record = await state.machines.get(run.id, machine);
    expect(record).toMatchObject({ status: 'cancelled' });
    expect(record?.steps['upload/0']?.failures).toBe(0);
  });
});
