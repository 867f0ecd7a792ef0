/** What operators do to a run before and while its machines move. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import { cancelMachines, holdMachines, releaseMachines } from '../../src/operations/steer.ts';
import {
  approveWholeRun,
  holdWholeRun,
  openWindowNow,
  releaseWholeRun,
} from '../../src/operations/steer-run.ts';
import { type ActionGround, openActionGround } from './action-ground.ts';

const HOUR = 3_600_000;
const SPEC: WindowSpec = {
  kind: 'once',
  timezone: 'Europe/Berlin',
  rollbackSeconds: 600,
  opens: '2030-01-05T22:00',
  closes: '2030-01-06T04:00',
};

let ground: ActionGround;
beforeAll(async () => {
  ground = await openActionGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

/** A window that opens in an hour, for two. */
async function beginScheduled(): Promise<RunRecord> {
  const now = await ground.state.clock.now();
  const window = { opensAt: now + HOUR, closesAt: now + 3 * HOUR };
  return ground.begin(['a', 'b'], { wave: { window: SPEC }, run: { window, status: 'scheduled' } });
}

describe('holding a run', () => {
  test('lets nothing start until it is released; both are told once, with the reason', async () => {
    const run = await ground.begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    expect((await holdWholeRun({ run, reason: 'storage' }, ground.deps)).isChanged).toBe(true);
    expect((await holdWholeRun({ run, reason: 'again' }, ground.deps)).isChanged).toBe(false);
    await cancelMachines({ run, machines: await ground.one('a'), reason: null }, ground.deps);
    expect((await ground.read('b')).status).toBe('waiting');
    const released = await releaseWholeRun({ run, reason: null }, ground.deps);
    expect(released).toMatchObject({ isChanged: true, run: { hold: null, status: 'running' } });
    expect((await ground.read('b')).status).toBe('moving');
    expect(await ground.trail()).toEqual(['run hold (storage)', 'a cancel', 'run release']);
  });
});

describe('holding machines', () => {
  test('keeps who and why, gives its place to others, and a release lets them go on', async () => {
    const run = await ground.begin(['a', 'b'], { wave: { limits: { machines: 1, tries: 3 } } });
    expect(await holdMachines({ run, machines: await ground.one('a'), reason: 'disk' }, ground.deps)).toEqual(
      ['a'],
    );
    expect(await ground.read('a')).toMatchObject({ status: 'held', hold: { reason: 'disk' } });
    expect((await ground.read('b')).status).toBe('moving');
    expect(await holdMachines({ run, machines: await ground.one('a'), reason: null }, ground.deps)).toEqual(
      [],
    );
    expect(
      await releaseMachines({ run, machines: await ground.one('a'), reason: null }, ground.deps),
    ).toEqual(['a']);
    expect(await ground.read('a')).toMatchObject({ status: 'waiting', hold: null });
  });
});

describe('approving', () => {
  test('is refused where nothing is to be approved', async () => {
    const run = await ground.begin(['a']);
    await expect(approveWholeRun({ run, reason: null }, ground.deps)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('asks for no approval'),
    });
  });

  test('lets the run begin, keeps who and when, and is idempotent', async () => {
    const run = await ground.begin(['a'], {
      wave: { isApprovalRequired: true },
      run: { status: 'scheduled' },
    });
    expect((await ground.read('a')).status).toBe('waiting');
    const { run: approved } = await approveWholeRun({ run, reason: 'change 4711' }, ground.deps);
    expect(approved.approval).toMatchObject({ reason: 'change 4711', by: 'ann@host' });
    expect((await ground.read('a')).status).toBe('moving');
    expect((await approveWholeRun({ run: approved, reason: null }, ground.deps)).isChanged).toBe(false);
    expect(await ground.trail()).toEqual(['run approve (change 4711)']);
  });

  test('by two at once is recorded once', async () => {
    const run = await ground.begin(['a'], {
      wave: { isApprovalRequired: true },
      run: { status: 'scheduled' },
    });
    const both = await Promise.all([1, 2].map(() => approveWholeRun({ run, reason: null }, ground.deps)));
    expect(both.filter(({ isChanged }) => isChanged)).toHaveLength(1);
    expect(await ground.trail()).toEqual(['run approve']);
  });
});

describe('opening a window now', () => {
  test('starts what waits for it; it closes as planned', async () => {
    const run = await beginScheduled();
    const { run: opened } = await openWindowNow({ run, reason: null, closesAt: null }, ground.deps);
    expect(opened.window?.closesAt).toBe(run.window?.closesAt);
    expect((await ground.read('a')).status).toBe('moving');
    expect((await openWindowNow({ run: opened, reason: null, closesAt: null }, ground.deps)).isChanged).toBe(
      false,
    );
  });

  test('can let it close at another time, but not so soon that no rollback fits', async () => {
    const run = await beginScheduled();
    const soon = (await ground.state.clock.now()) + 300_000;
    const refused = openWindowNow({ run, reason: null, closesAt: soon }, ground.deps);
    await expect(refused).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/a rollback takes 10 min 00 s/),
    });
    const { run: opened } = await openWindowNow({ run, reason: null, closesAt: soon + HOUR }, ground.deps);
    expect(opened.window?.closesAt).toBe(soon + HOUR);
  });

  test('is refused where the wave has none', async () => {
    const run = await ground.begin(['a']);
    const refused = openWindowNow({ run, reason: null, closesAt: null }, ground.deps);
    await expect(refused).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('a selection', () => {
  test('names the groups that there are where one is not', async () => {
    await ground.begin(['a'], { wave: { groups: { web: { stopAfter: null } } } });
    await expect(ground.select({ kind: 'group', group: 'wbe' })).rejects.toMatchObject({
      code: 'not-found',
      message: 'Run r1 has no machine in a group wbe; its groups are web.',
    });
  });
});
