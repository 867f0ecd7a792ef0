/** What is decided about a machine whose window closes, that fails, or that has to go back. */
import { describe, expect, it } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import type { WaveView } from '../../src/domain/advance-wave.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import { stepKey } from '../../src/domain/job.ts';
import {
  commitMachine,
  failStep,
  finishStep,
  holdMachine,
  releaseMachine,
  retryMachine,
  rollBackMachine,
  startMachine,
  unblockMachine,
} from '../../src/domain/machine-changes.ts';
import { isTroubled, type MachineRecord, newMachineRecord } from '../../src/domain/machine-record.ts';
import type { FailurePolicy } from '../../src/domain/wave.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';
import { makePlan, OPEN_VIEW } from '../fakes/records.ts';
import { NOW, outputOf } from './machine-story.ts';

const CLOSED: WaveView = { ...OPEN_VIEW, overrun: 'rollback', isOver: true };
const HELD: WaveView = { ...OPEN_VIEW, isOpen: false };
const lasting = new LandfallError({ code: 'boot-failed', message: 'it panics' });

it('a window that closes over a machine says nothing against it; one that failed before keeps why', () => {
  const turned = advanceMachine(upTo('upload/0'), CLOSED, NOW).record;
  expect(turned).toMatchObject({ status: 'rolling-back', error: { code: 'window-closed' } });
  expect(isTroubled(turned)).toBe(false);
  const held = advanceMachine(failed('validate', 'hold'), OPEN_VIEW, NOW).record;
  const back = advanceMachine(held, CLOSED, NOW).record;
  expect(back).toMatchObject({ status: 'rolling-back', error: { code: 'boot-failed' } });
  expect(isTroubled(back)).toBe(true);
});

function record(onFailure: FailurePolicy = 'leave'): MachineRecord {
  const made = createRecord({ isControlled: true });
  return { ...made, status: 'waiting', plan: { ...made.plan, onFailure } };
}

function started(onFailure?: FailurePolicy): MachineRecord {
  return must(startMachine(record(onFailure), NOW));
}

function must(changed: MachineRecord | null): MachineRecord {
  if (changed === null) throw new Error('the change did not apply');
  return changed;
}

/** Goes on until this step is the one that is offered. */
function upTo(step: string, from: MachineRecord = started()): MachineRecord {
  let { record: now, jobs } = advanceMachine(from, OPEN_VIEW, NOW);
  while (jobs.length > 0 && !jobs.some((job) => stepKey(job) === step)) {
    now = jobs.reduce(
      (before, job) => must(finishStep(before, { job, output: outputOf(job), now: NOW })),
      now,
    );
    ({ record: now, jobs } = advanceMachine(now, OPEN_VIEW, NOW));
  }
  return now;
}

function failed(step: string, onFailure: FailurePolicy): MachineRecord {
  const at = upTo(step, started(onFailure));
  const [job] = advanceMachine(at, OPEN_VIEW, NOW).jobs;
  if (job === undefined) throw new Error('nothing was offered');
  return must(failStep(at, { job, error: lasting, now: NOW, tries: 3 }));
}

describe('a source that can be turned off', () => {
  it('is shut down before anything else', () => {
    expect(advanceMachine(started(), OPEN_VIEW, NOW).jobs.map(stepKey)).toEqual(['shutdown']);
  });
});

describe('a machine that failed', () => {
  it.each([
    ['leave', 'failed', []],
    ['hold', 'held', []],
    ['rollback', 'rolling-back', ['rollback']],
  ] as const)('by the policy %s is %s', (policy, status, jobs) => {
    const advance = advanceMachine(failed('validate', policy), OPEN_VIEW, NOW);
    expect(advance.record).toMatchObject({ status, error: { code: 'boot-failed' } });
    expect(advance.jobs.map(stepKey)).toEqual(jobs);
  });

  it('goes back whether its run is held or its window closed', () => {
    const { record: back } = advanceMachine(failed('upload/0', 'rollback'), OPEN_VIEW, NOW);
    for (const view of [HELD, CLOSED])
      expect(advanceMachine(back, view, NOW).jobs.map(stepKey)).toEqual(['rollback']);
  });

  it('is rolled back once that is done, still tells why, and can be tried again from the start', () => {
    const { record: back, jobs } = advanceMachine(failed('validate', 'rollback'), OPEN_VIEW, NOW);
    const done = jobs.reduce(
      (at, job) => must(finishStep(at, { job, output: outputOf(job), now: NOW })),
      back,
    );
    const { record: rolledBack } = advanceMachine(done, OPEN_VIEW, NOW + 1);
    expect(rolledBack).toMatchObject({
      status: 'rolled-back',
      endedAt: NOW + 1,
      artifacts: {},
      landing: null,
      error: { code: 'boot-failed' },
    });
    const again = must(retryMachine(rolledBack));
    expect(again).toMatchObject({ status: 'waiting', startedAt: null, error: null });
    expect(again.steps).toMatchObject({ shutdown: { state: 'pending', try: 2 }, rollback: { try: 2 } });
  });

  it('fails where its rollback fails, and a retry goes on with that', () => {
    const { record: back, jobs } = advanceMachine(failed('validate', 'rollback'), OPEN_VIEW, NOW);
    const [job] = jobs;
    if (job === undefined) throw new Error('no rollback was offered');
    const locked = new LandfallError({ code: 'conflict', message: 'its disks are open' });
    const stuck = advanceMachine(
      must(failStep(back, { job, error: locked, now: NOW, tries: 1 })),
      OPEN_VIEW,
      NOW,
    );
    expect(stuck.record).toMatchObject({ status: 'failed', error: { code: 'conflict' } });
    const again = advanceMachine(must(retryMachine(stuck.record)), OPEN_VIEW, NOW);
    expect(again.record.status).toBe('rolling-back');
    expect(again.jobs).toMatchObject([{ stage: 'rollback', try: 2 }]);
  });
});

describe('when the window closes', () => {
  it('what is not proven goes back', () => {
    const advance = advanceMachine(upTo('validate'), CLOSED, NOW);
    expect(advance.record).toMatchObject({ status: 'rolling-back', error: { code: 'window-closed' } });
    expect(advance.jobs.map(stepKey)).toEqual(['rollback']);
  });

  it('what is proven is admitted', () => {
    expect(advanceMachine(upTo('admit'), CLOSED, NOW).jobs.map(stepKey)).toEqual(['admit']);
  });

  it('what is on the move is finished where the wave says so', () => {
    const finish: WaveView = { ...CLOSED, overrun: 'finish' };
    expect(advanceMachine(upTo('import'), finish, NOW).jobs.map(stepKey)).toEqual(['import']);
  });

  it('what is proven and held or waits again stays where it landed: it may have served', () => {
    const held = must(holdMachine(upTo('admit')));
    expect(advanceMachine(held, CLOSED, NOW).record).toEqual(held);
    const waiting = must(releaseMachine(held));
    expect(waiting.proof).toBe(held.proof);
    expect(advanceMachine(waiting, CLOSED, NOW).record).toMatchObject({
      status: 'held',
      error: { message: expect.stringContaining('before web01 was admitted') },
    });
  });

  it('what waits for a slot again with its source turned off is held where the wave finishes what has begun', () => {
    const finish: WaveView = { ...CLOSED, overrun: 'finish' };
    const waiting = must(releaseMachine(must(holdMachine(upTo('upload/0')))));
    const { record: held } = advanceMachine(waiting, finish, NOW);
    expect(held).toMatchObject({ status: 'held', hold: null, error: { code: 'window-closed' } });
    expect(held.error?.message).toMatch(/cutover .* --now --until/);
    expect(advanceMachine(held, finish, NOW).record).toEqual(held);
    const next: WaveView = { ...finish, isOver: false };
    expect(advanceMachine(waiting, next, NOW).record.status).toBe('waiting');
  });

  it('what has not started is cancelled untouched, and waits on where the window comes again', () => {
    expect(advanceMachine(record(), CLOSED, NOW).record).toMatchObject({
      status: 'cancelled',
      error: { code: 'window-closed' },
    });
    const again: WaveView = { ...CLOSED, isOver: false };
    expect(advanceMachine(record(), again, NOW).record.status).toBe('waiting');
  });

  it('what is held or waits again with its source turned off goes back', () => {
    const held = must(holdMachine(upTo('upload/0')));
    expect(advanceMachine(held, CLOSED, NOW).record.status).toBe('rolling-back');
    expect(advanceMachine(must(releaseMachine(held)), CLOSED, NOW).record.status).toBe('rolling-back');
  });
});

describe('a run that is held', () => {
  it('begins no step', () => {
    expect(advanceMachine(upTo('import'), HELD, NOW)).toMatchObject({
      jobs: [],
      record: { status: 'moving' },
    });
  });
});

describe('an operator', () => {
  it('holds a machine in the middle and lets it go on from there, with a try that was never used', () => {
    const uploading = upTo('upload/0');
    const held = must(holdMachine(uploading));
    expect(advanceMachine(held, OPEN_VIEW, NOW)).toEqual({ record: held, jobs: [], wakeAt: null });
    const again = must(startMachine(must(releaseMachine(held)), NOW));
    expect(advanceMachine(again, OPEN_VIEW, NOW).jobs).toMatchObject([{ stage: 'upload', try: 2 }]);
  });

  it('rolls back what landed, but not what was committed or never began', () => {
    const landed: MachineRecord = { ...upTo('admit'), status: 'landed' };
    expect(rollBackMachine(landed, null)?.status).toBe('rolling-back');
    expect(rollBackMachine(must(commitMachine(landed, NOW)), null)).toBeNull();
    expect(rollBackMachine(record(), null)).toBeNull();
  });
});

describe('a machine that comes after others', () => {
  const after = ['db', 'web'];
  const made = newMachineRecord({
    run: 'run-1',
    position: 0,
    site: null,
    plan: { ...makePlan('app'), after },
    machine: createMachine({ name: 'app' }),
    isControlled: false,
  });

  it('is blocked until all of them have landed, each told once or twice', () => {
    expect(made.status).toBe('blocked');
    const half = must(unblockMachine(made, 'db'));
    expect(half).toMatchObject({ status: 'blocked', after: ['web'] });
    expect(unblockMachine(half, 'db')).toBeNull();
    expect(unblockMachine(half, 'web')).toMatchObject({ status: 'waiting', after: [] });
  });

  it('stays held while it is held, and knows what it waits for when it is released', () => {
    const held = must(holdMachine(made));
    expect(releaseMachine(held)?.status).toBe('blocked');
    const free = must(unblockMachine(must(unblockMachine(held, 'db')), 'web'));
    expect(free.status).toBe('held');
    expect(releaseMachine(free)?.status).toBe('waiting');
  });
});
