/** Windows: they open to the second, also for those who were not there, and close over whoever is not through. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { holdMachine } from '../../src/domain/machine-changes.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { createConductor } from '../../src/queue/conductor.ts';
import type { Queues } from '../../src/queue/queues.ts';
import { nameIn, openRunGround, type RunGround, succeed } from './run-ground.ts';

let ground: RunGround;
let shiftedMs = 0;
beforeAll(async () => {
  ground = await openRunGround();
});
afterEach(() => {
  ground.shiftClock(-shiftedMs);
  shiftedMs = 0;
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

const HOUR_MS = 3_600_000;
/** A clock that is moved by hand tells no timer. */
const NOTICES_SOON = { reconcileEveryMs: 300 };

function shiftClock(byMs: number): void {
  shiftedMs += byMs;
  ground.shiftClock(byMs);
}

async function windowIn(opensInMs: number, lengthMs = HOUR_MS) {
  const opensAt = (await ground.state.clock.now()) + opensInMs;
  return { opensAt, closesAt: opensAt + lengthMs };
}

const of = (run: RunRecord, machine: string) => ({ run: run.id, machine: nameIn(run, machine) });

describe('a window that lies ahead', () => {
  test('is waited for, and opens within a second', async () => {
    const window = await windowIn(800);
    const run = await ground.begin({ machines: { a: {}, b: {} }, window });
    expect(run.status).toBe('scheduled');
    const begunAt: number[] = [];
    await ground.withPools(
      async (work) => {
        begunAt.push(await ground.state.clock.now());
        return succeed(work);
      },
      () => ground.untilStatus(run, 'landed'),
    );
    expect(Math.min(...begunAt)).toBeGreaterThanOrEqual(window.opensAt);
    expect(Math.min(...begunAt)).toBeLessThan(window.opensAt + 1_000);
  });

  test('that opened while every process was down, and whose timer is lost, is made up for at start', async () => {
    const deaf: Queues = { ...ground.queues, wakeAt: async () => {} };
    const window = await windowIn(HOUR_MS);
    const dying = createConductor({ state: ground.state, queues: deaf });
    const run = await ground.begin({ machines: { a: {} }, window }, dying);
    shiftClock(HOUR_MS + 60_000);
    await ground.withPools(succeed, () => ground.untilStatus(run, 'landed'));
  });

  test('is not opened by a timer that fires early, since a clock was put back', async () => {
    const window = await windowIn(300);
    const run = await ground.begin({ machines: { a: {} }, window });
    shiftClock(-HOUR_MS);
    await ground.withPools(
      succeed,
      async () => {
        await sleep(700);
        expect((await ground.record(run, 'a')).status).toBe('waiting');
        shiftClock(HOUR_MS);
        await ground.untilStatus(run, 'landed');
      },
      NOTICES_SOON,
    );
  });
});

describe('a window that closes', () => {
  const hangAtUpload =
    (onEntered: () => void): RunStep =>
    async (work) => {
      if (work.job.stage !== 'upload') return succeed(work);
      onEntered();
      await sleep(60_000, undefined, { signal: work.context.signal }).catch(() => {});
      throw work.context.signal.reason;
    };

  const machines = { moving: {}, held: {}, waiting: {}, blocked: { after: ['moving'] } };

  test('rolls back whoever began and is not proven, and cancels whoever did not begin', async () => {
    const entered = Promise.withResolvers<void>();
    let inside = 0;
    const runStep = hangAtUpload(() => {
      inside += 1;
      if (inside === 2) entered.resolve();
    });
    const window = await windowIn(0, 1_500);
    const run = await ground.begin({ machines, window, limits: { machines: 2 } });
    await ground.withPools(runStep, async () => {
      await entered.promise;
      await ground.conductor.change(of(run, 'waiting'), holdMachine);
      await ground.conductor.change(of(run, 'held'), holdMachine);
      await ground.untilStatus(run, 'rolled-back');
    });
    const statuses = await Promise.all(
      Object.keys(machines).map(async (name) => [name, await ground.record(run, name)] as const),
    );
    expect(Object.fromEntries(statuses.map(([name, { status }]) => [name, status]))).toEqual({
      moving: 'rolled-back',
      held: 'rolled-back',
      waiting: 'cancelled',
      blocked: 'cancelled',
    });
    for (const [, { error }] of statuses) expect(error).toMatchObject({ code: 'window-closed' });
    expect((await ground.state.clock.now()) - window.closesAt).toBeLessThan(5_000);
  });

  test('lets whoever began finish, where the wave says so', async () => {
    const entered = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const runStep: RunStep = async (work) => {
      if (work.job.stage === 'upload') {
        entered.resolve();
        await goOn.promise;
      }
      return succeed(work);
    };
    const window = await windowIn(0);
    const run = await ground.begin({
      machines: { a: {}, b: {} },
      window,
      wave: { onOverrun: 'finish' },
      limits: { machines: 1 },
    });
    await ground.withPools(runStep, async () => {
      await entered.promise;
      shiftClock(HOUR_MS);
      goOn.resolve();
      await ground.untilStatus(run, 'partial');
    });
    expect((await ground.record(run, 'a')).status).toBe('landed');
    expect(await ground.record(run, 'b')).toMatchObject({
      status: 'cancelled',
      error: { code: 'window-closed' },
    });
  });
});
