/** Trying machines again: one disk, after a cancel, between two windows, and of a run that was archived meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { startMachine } from '../../src/domain/machine-changes.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import { archiveRun } from '../../src/operations/archive-run.ts';
import { findRun } from '../../src/operations/find-run.ts';
import { rollBackMachines } from '../../src/operations/roll-back.ts';
import { sourcesOff } from '../../src/operations/sources-off.ts';
import { cancelMachines, retryMachines } from '../../src/operations/steer.ts';
import { OPEN_VIEW } from '../fakes/records.ts';
import { type ActionGround, landed, openActionGround } from './action-ground.ts';

const HOUR = 3_600_000;

let ground: ActionGround;
beforeAll(async () => {
  ground = await openActionGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

describe('retrying', () => {
  const uploadFailed = (record: MachineRecord): MachineRecord => {
    const moving = startMachine(record, 1);
    if (moving === null) throw new Error('not waiting');
    const { record: begun } = advanceMachine(moving, OPEN_VIEW, 1);
    const steps = Object.fromEntries(
      Object.entries(begun.steps).map(([key, step]) => {
        if (step.stage === 'upload' && step.disk === '1') return [key, { ...step, state: 'failed' as const }];
        const isDone = ['shutdown', 'export', 'convert', 'upload'].includes(step.stage);
        return [key, isDone ? { ...step, state: 'done' as const } : step];
      }),
    );
    const image = { site: null, bytes: 1, layout: { kind: 'blank' } } as const;
    return { ...begun, status: 'failed', steps, images: { '0': image, '1': image } };
  };

  test('one disk exports and uploads it once more, and leaves the other as it is', async () => {
    const run = await ground.begin(['a'], { record: uploadFailed });
    const machines = await ground.select();
    expect(await retryMachines({ run, machines, reason: null, disk: '0' }, ground.deps)).toEqual(['a']);
    const { steps, images } = await ground.read('a');
    expect(steps['export/0']).toMatchObject({ state: 'active', try: 2 });
    expect(steps['export/1']).toMatchObject({ state: 'done', try: 1 });
    expect(Object.keys(images)).toEqual(['1']);
    expect(await ground.trail()).toEqual(['a retry disk 0']);
  });

  test('a disk that is not there is refused, naming those that are', async () => {
    const run = await ground.begin(['a'], { record: uploadFailed });
    const retry = retryMachines(
      { run, machines: await ground.select(), reason: null, disk: '7' },
      ground.deps,
    );
    await expect(retry).rejects.toMatchObject({ message: 'a of r1 has no disk 7; it has 0, 1.' });
  });

  test('after cancelling tells which sources stay off', async () => {
    const run = await ground.begin(['a', 'b'], {
      record: (record) => (record.position === 0 ? uploadFailed(record) : record),
    });
    await cancelMachines({ run, machines: await ground.one('b'), reason: null }, ground.deps);
    expect(sourcesOff(await ground.select())).toEqual(['a', 'b']);
  });
});

describe('between two windows', () => {
  const weekly: WindowSpec = {
    kind: 'weekly',
    timezone: 'UTC',
    rollbackSeconds: 600,
    weekdays: [1, 2, 3, 4, 5, 6, 7],
    at: '12:00',
    lengthSeconds: 60,
    except: [],
  };
  /** One that closed an hour ago, with a machine that failed in it. */
  const closed = async (wave: Partial<Wave> = {}): Promise<RunRecord> => {
    const now = await ground.state.clock.now();
    const at = new Date(now - HOUR).toISOString().slice(11, 16);
    return await ground.begin(['a', 'b'], {
      wave: { window: { ...weekly, at }, ...wave },
      run: { window: { opensAt: now - HOUR - 60_000, closesAt: now - HOUR } },
      record: (record) =>
        record.position === 0 ? { ...record, status: 'failed', startedAt: 1, endedAt: 2 } : landed(record),
    });
  };

  test('a retry is for the next one, and takes nobody back', async () => {
    const run = await closed();
    expect(await retryMachines({ run, machines: await ground.one('a'), reason: null }, ground.deps)).toEqual([
      'a',
    ]);
    expect((await ground.read('a')).status).toBe('waiting');
    const { window, status } = await findRun(ground.state, 'r1');
    expect(window?.opensAt).toBeGreaterThan(await ground.state.clock.now());
    expect(status).toBe('scheduled');
  });

  test('a retry is refused while others still go back from the last', async () => {
    const run = await closed();
    const back = { run, machines: await ground.one('b'), reason: null, discardsLandingData: true };
    await rollBackMachines(back, ground.deps);
    await expect(
      retryMachines({ run, machines: await ground.one('a'), reason: null }, ground.deps),
    ).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('still go back') });
    expect((await ground.read('a')).status).toBe('failed');
  });
});

test('a retry that was decided before its run was archived does nothing', async () => {
  const run = await ground.begin(['a'], {
    record: (record) => ({ ...record, status: 'failed', startedAt: 1, endedAt: 2 }),
  });
  const machines = await ground.select();
  await archiveRun(run.id, { ...ground.deps, queues: ground.queues });
  expect(await retryMachines({ run, machines, reason: null }, ground.deps)).toEqual([]);
  expect((await ground.read('a')).status).toBe('failed');
});
