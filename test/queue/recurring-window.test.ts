/** A window that comes again, every ten minutes of a clock that the test moves. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { holdMachine } from '../../src/domain/machine-changes.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { nameIn, openRunGround, type RunGround, succeed } from './run-ground.ts';

const PERIOD_MS = 600_000;
const LENGTH_MS = 60_000;
/** A clock that is moved by hand tells no timer. */
const NOTICES_SOON = { reconcileEveryMs: 300 };

vi.mock('../../src/domain/next-window.ts', () => ({
  nextWindow(_spec: WindowSpec, now: number) {
    const opensAt = Math.ceil((now - LENGTH_MS + 1) / PERIOD_MS) * PERIOD_MS;
    return { opensAt, closesAt: opensAt + LENGTH_MS };
  },
}));

let ground: RunGround;
beforeAll(async () => {
  ground = await openRunGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

test('a machine that is held in its middle goes back when the window closes; those that had no turn have it next time', async () => {
  const window: WindowSpec = {
    kind: 'weekly',
    timezone: 'UTC',
    rollbackSeconds: 10,
    weekdays: [6],
    at: '22:00',
    lengthSeconds: LENGTH_MS / 1000,
    except: [],
  };
  const now = await ground.state.clock.now();
  const opensAt = Math.floor(now / PERIOD_MS) * PERIOD_MS;
  ground.shiftClock(opensAt - now + 1_000); // it has just opened
  const run = await ground.begin({
    machines: { held: {}, later: {} },
    wave: { window },
    window: { opensAt, closesAt: opensAt + LENGTH_MS },
    limits: { machines: 1 },
  });
  let isHanging = true;
  const entered = Promise.withResolvers<void>();
  const runStep: RunStep = async (work) => {
    if (work.job.stage !== 'upload' || !isHanging) return succeed(work);
    entered.resolve();
    await sleep(60_000, undefined, { signal: work.context.signal }).catch(() => {});
    throw work.context.signal.reason;
  };
  await ground.withPools(
    runStep,
    async () => {
      await entered.promise;
      const later = { run: run.id, machine: nameIn(run, 'later') };
      // Out of the way of the slot that the other gives up.
      await ground.conductor.change(later, holdMachine);
      await ground.conductor.change({ run: run.id, machine: nameIn(run, 'held') }, holdMachine);
      ground.shiftClock(LENGTH_MS);
      await ground.conductor.change(later, (record) => ({ ...record, status: 'waiting' }));
      await ground.untilMachine(run, 'held', 'rolled-back');
      await expect
        .poll(async () => (await ground.state.runs.get(run.id))?.window?.opensAt)
        .toBe(opensAt + PERIOD_MS);
      await ground.untilStatus(run, 'scheduled');
      expect((await ground.record(run, 'later')).status).toBe('waiting');
      isHanging = false;
      ground.shiftClock(PERIOD_MS - LENGTH_MS);
      await ground.untilStatus(run, 'partial');
      expect((await ground.record(run, 'later')).status).toBe('landed');
    },
    NOTICES_SOON,
  );
});
