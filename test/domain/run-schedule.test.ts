/** How windows, approval, holds and gates steer a run as a whole. */
import { describe, expect, it } from 'vitest';
import {
  advanceWave,
  approveRun,
  holdRun,
  lastRollbackAt,
  moveToNextWindow,
  releaseRun,
} from '../../src/domain/advance-wave.ts';
import { MACHINE_STATUSES } from '../../src/domain/machine-record.ts';
import {
  type GroupCounts,
  isBarredFromApproving,
  type MachineCounts,
  type RunCounts,
  type RunRecord,
} from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import type { WindowSpec } from '../../src/domain/window.ts';
import { makeRun, makeWave } from '../fakes/records.ts';

const MINUTE = 60_000;
const OPENS = Date.UTC(2026, 10, 28, 22);
const CLOSES = OPENS + 6 * 60 * MINUTE;
const ONCE: WindowSpec = {
  kind: 'once',
  timezone: 'UTC',
  rollbackSeconds: 600,
  opens: '2026-11-28T22:00',
  closes: '2026-11-29T04:00',
};
const WEEKLY: WindowSpec = {
  kind: 'weekly',
  timezone: 'UTC',
  rollbackSeconds: 600,
  weekdays: [6],
  at: '22:00',
  lengthSeconds: 6 * 3600,
  except: [],
};
const say = { by: 'ada@ops', at: OPENS, reason: null };

function counts(some: Partial<MachineCounts>, groups: Record<string, GroupCounts> = {}): RunCounts {
  const none = Object.fromEntries(MACHINE_STATUSES.map((status) => [status, 0])) as MachineCounts;
  return { ...none, ...some, groups };
}

function run(wave: Partial<Wave> = {}, more: Partial<RunRecord> = {}): RunRecord {
  const made = makeRun('run-1', { ...makeWave('weekend', ['a', 'b', 'c']), ...wave });
  const window = wave.window ? { opensAt: OPENS, closesAt: CLOSES } : null;
  return { ...made, window, ...more };
}

describe('a window', () => {
  it('lets nothing start before it opens, says when to look again, and then lets all start', () => {
    const early = advanceWave(run({ window: ONCE }), counts({ waiting: 3 }), OPENS - 1);
    expect(early).toMatchObject({ machinesToWake: 0, wakeAt: OPENS, record: { status: 'scheduled' } });
    const open = advanceWave(early.record, counts({ waiting: 3 }), OPENS);
    expect(open).toMatchObject({ machinesToWake: 3, record: { status: 'running' }, view: { overrun: null } });
  });

  it('is looked at again when a rollback would no longer fit, and when it closes', () => {
    const record = run({ window: ONCE });
    const last = lastRollbackAt(record) ?? 0;
    expect(last).toBe(CLOSES - 10 * MINUTE);
    expect(advanceWave(record, counts({ moving: 3 }), OPENS).wakeAt).toBe(last);
    expect(advanceWave(record, counts({ moving: 3 }), last).wakeAt).toBe(CLOSES);
    expect(advanceWave(record, counts({ moving: 3 }), CLOSES).wakeAt).toBeNull();
  });

  it('lets nothing begin from which there would be no way back in time, but where what has begun is finished', () => {
    const record = run({ window: ONCE });
    const last = lastRollbackAt(record) ?? 0;
    expect(advanceWave(record, counts({ waiting: 3 }), last - 1).machinesToWake).toBe(3);
    const closing = advanceWave(record, counts({ moving: 1, waiting: 2 }), last);
    expect(closing).toMatchObject({ machinesToWake: 0, view: { isOpen: true, mayStart: false } });
    const finish = run({ window: ONCE, onOverrun: 'finish' });
    expect(advanceWave(finish, counts({ waiting: 3 }), CLOSES - 1).machinesToWake).toBe(3);
  });

  it('once closed says so to every machine, and is over for those that never started', () => {
    const closed = advanceWave(run({ window: ONCE }), counts({ moving: 1, waiting: 2 }), CLOSES);
    expect(closed.view).toMatchObject({ overrun: 'rollback', isOver: true });
    expect(closed.machinesToWake).toBe(0);
    const finish = advanceWave(run({ window: ONCE, onOverrun: 'finish' }), counts({ moving: 1 }), CLOSES);
    expect(finish.view.overrun).toBe('finish');
  });

  it('that recurs comes again for those that have not started, once nothing moves any more', () => {
    const record = run({ window: WEEKLY });
    const busy = advanceWave(record, counts({ moving: 1, waiting: 2 }), CLOSES);
    expect(busy).toMatchObject({
      record: { window: { opensAt: OPENS } },
      view: { overrun: 'rollback', isOver: false },
    });
    const idle = advanceWave(record, counts({ 'rolled-back': 1, waiting: 2 }), CLOSES + 1);
    const next = OPENS + 7 * 24 * 60 * MINUTE;
    expect(idle).toMatchObject({
      record: { status: 'scheduled', window: { opensAt: next } },
      view: { overrun: null },
      wakeAt: next,
    });
  });
});

describe('approval', () => {
  it('is waited for also while the window is open, and one is enough', () => {
    const record = run({ window: ONCE, isApprovalRequired: true });
    const unapproved = advanceWave(record, counts({ waiting: 3 }), OPENS);
    expect(unapproved).toMatchObject({ machinesToWake: 0, record: { status: 'scheduled' } });
    const approved = approveRun(record, say);
    expect(approved && advanceWave(approved, counts({ waiting: 3 }), OPENS).machinesToWake).toBe(3);
    expect(approved && approveRun(approved, { ...say, by: 'bob@ops' })).toBeNull();
  });

  it('that never came leaves everything untouched when the window closes', () => {
    const record = run({ window: ONCE, isApprovalRequired: true });
    expect(advanceWave(record, counts({ waiting: 3 }), CLOSES).view.isOver).toBe(true);
  });
});

describe('a hold', () => {
  it('starts no machine and begins no step until it is released', () => {
    const held = holdRun(run(), say);
    if (held === null) throw new Error('not held');
    expect(holdRun(held, say)).toBeNull();
    const advance = advanceWave(held, counts({ moving: 1, waiting: 2 }), OPENS);
    expect(advance).toMatchObject({ machinesToWake: 0, view: { isOpen: false }, record: { status: 'held' } });
    const released = releaseRun(advance.record, counts({ moving: 1, waiting: 2 }));
    expect(released && advanceWave(released, counts({ moving: 1, waiting: 2 }), OPENS)).toMatchObject({
      machinesToWake: 2,
      view: { isOpen: true },
      record: { status: 'running' },
    });
  });
});

describe('the gate of a group', () => {
  const groups = {
    web: { stopAfter: { failures: 1 } },
    db: { stopAfter: { percent: 10 } },
    rest: { stopAfter: null },
  };
  const of = (troubled: number, machines = 20): GroupCounts => ({ machines, landed: 0, troubled });

  it.each([
    ['web', of(1), false],
    ['web', of(2), true],
    ['db', of(2), false],
    ['db', of(3), true],
    ['rest', of(20), false],
  ])('of %s with %o holds the run: %s', (group, troubled, isHeld) => {
    const { record } = advanceWave(run({ groups }), counts({ waiting: 1 }, { [group]: troubled }), OPENS);
    expect(record.hold !== null).toBe(isHeld);
    if (isHeld) expect(record.hold).toMatchObject({ by: `gate of ${group}`, at: OPENS });
  });

  it('lets pass what an operator has seen, and holds again at the next failure', () => {
    const seen = counts({ waiting: 1 }, { web: of(2) });
    const { record } = advanceWave(run({ groups }), seen, OPENS);
    const released = releaseRun(record, seen);
    if (released === null) throw new Error('not released');
    expect(advanceWave(released, seen, OPENS).record.hold).toBeNull();
    expect(advanceWave(released, counts({ waiting: 1 }, { web: of(3) }), OPENS).record.hold).not.toBeNull();
  });
});

describe('a failure that was let pass', () => {
  it('and is mended leaves no room for another', () => {
    const groups = { web: { stopAfter: { failures: 1 } } };
    const of = (troubled: number) => counts({ waiting: 1 }, { web: { machines: 9, landed: 0, troubled } });
    const { record } = advanceWave(run({ groups }), of(2), OPENS);
    const released = releaseRun(record, of(2));
    if (released === null) throw new Error('not released');
    const mended = advanceWave(released, of(0), OPENS).record;
    expect(mended).toMatchObject({ hold: null, passedFailures: { web: 0 } });
    expect(advanceWave(mended, of(2), OPENS).record.hold).toMatchObject({ by: 'gate of web' });
  });
});

describe('the next window of a run', () => {
  it('is brought where its window has closed and comes again, and nobody goes back from the last', () => {
    const weekly = run({ window: WEEKLY });
    const of = (some: Partial<MachineCounts>, at = CLOSES, record = weekly) =>
      moveToNextWindow(record, counts(some), at);
    expect(of({ landed: 1, failed: 1 })?.window?.opensAt).toBe(OPENS + 7 * 24 * 60 * MINUTE);
    expect(of({ landed: 1, failed: 1 }, CLOSES - 1)).toBeNull();
    expect(of({ 'rolling-back': 1, failed: 1 })).toBeNull();
    expect(of({ landed: 1, failed: 1 }, CLOSES, run({ window: ONCE }))).toBeNull();
  });
});

describe('how a run ends', () => {
  it.each<[string, Partial<MachineCounts>]>([
    ['held', { held: 1, landed: 5 }],
    ['running', { 'rolling-back': 1, landed: 5 }],
    ['partial', { landed: 4, 'rolled-back': 1 }],
    ['partial', { landed: 4, blocked: 1 }],
    ['rolled-back', { 'rolled-back': 3 }],
    ['failed', { 'rolled-back': 3, failed: 1 }],
  ])('%s with %o', (status, some) => {
    expect(advanceWave(run(), counts(some), OPENS).record.status).toBe(status);
  });
});

describe('an approval by another', () => {
  const run = (plannedBy: string | null): RunRecord => ({
    ...makeRun('r', { ...makeWave('w', ['a']), isApprovalRequired: true, isApprovalByAnother: true }),
    plannedBy,
  });

  it.each(['ann@laptop', 'ann', 'Ann@acme.com'])('is not for %s, who planned it as ann@ops', (by) => {
    expect(isBarredFromApproving(run('ann@ops'), by)).toBe(true);
  });

  it('is for anybody else, and for anybody where nobody knows who planned it', () => {
    expect(isBarredFromApproving(run('ann@ops'), 'anna@ops')).toBe(false);
    expect(isBarredFromApproving(run(null), 'ann@ops')).toBe(false);
  });
});
