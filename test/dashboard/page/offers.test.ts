import { describe, expect, test } from 'vitest';
import { offersFor, roleFor, sayMeant, selectionMeant } from '../../../src/dashboard/page/view/offers.ts';
import { HOUR_MS, makeMachine, makeRun, NOW } from './fixture-run.ts';

const run = makeRun();
const whole = { kind: 'run' } as const;
const waiting = makeMachine(0);
const moving = makeMachine(1, { status: 'moving' });
const ERROR = { code: 'X', message: 'x', retryable: true };

test('a commit is for the machines that were shown, another action for whoever is there then', () => {
  const preview = { consequences: [], machines: ['db'], refusal: null, isReversible: false };
  const on = { kind: 'all' } as const;
  expect(selectionMeant({ action: 'commit', on }, preview)).toEqual({ kind: 'machines', names: ['db'] });
  expect(selectionMeant({ action: 'commit', on }, null)).toEqual(on);
  expect(selectionMeant({ action: 'hold', on }, preview)).toEqual(on);
});

const failed = makeMachine(2, { status: 'failed', isTroubled: true });
const landed = makeMachine(3, { status: 'landed' });
const committed = makeMachine(4, { status: 'landed', committedAt: NOW });

function namesFor(of: Partial<Parameters<typeof offersFor>[0]>): string[] {
  return offersFor({ run, on: whole, machines: [moving], now: NOW, ...of }).map(({ action }) => action);
}

describe('of a run', () => {
  test('approval is offered only while it is wanted', () => {
    const unapproved = makeRun({ approval: { given: null, byAnother: false } });
    expect(namesFor({ run: unapproved })).toContain('approve');
    const given = { by: 'ada', at: NOW, reason: null };
    expect(namesFor({ run: makeRun({ approval: { given, byAnother: false } }) })).not.toContain('approve');
    expect(namesFor({})).not.toContain('approve');
  });

  test('cutting over now is offered while the window is shut, before it and after it', () => {
    expect(namesFor({})).not.toContain('cutover');
    expect(namesFor({ now: NOW - 3 * HOUR_MS })).toContain('cutover');
    expect(namesFor({ now: NOW + 5 * HOUR_MS })).toContain('cutover');
    expect(namesFor({ run: makeRun({ window: null }), now: NOW + 5 * HOUR_MS })).not.toContain('cutover');
  });

  test('a held run is released, another one held, and one that is over neither', () => {
    expect(namesFor({})).toContain('hold');
    const held = makeRun({ hold: { by: 'ada', at: NOW, reason: null } });
    expect(namesFor({ run: held })).toContain('release');
    expect(namesFor({ run: held })).not.toContain('hold');
    expect(namesFor({ run: makeRun({ status: 'landed' }) })).not.toContain('hold');
  });

  test('all failing are retried by one button that says how many', () => {
    const retry = offersFor({ run, on: whole, machines: [failed, moving, failed], now: NOW }).find(
      ({ action }) => action === 'retry',
    );
    expect(retry).toMatchObject({ on: { kind: 'failing' }, label: 'Retry all failing (2)', isGrave: false });
    expect(namesFor({ machines: [moving] })).not.toContain('retry');
  });
});

describe('of machines', () => {
  const on = { kind: 'machines', names: ['x'] } as const;
  const of = (machines: Parameters<typeof offersFor>[0]['machines']) =>
    namesFor({ on: { ...on, names: ['x'] }, machines });

  test('each is offered what fits where it stands', () => {
    expect(of([failed])).toEqual(['retry', 'rollback']);
    expect(of([waiting])).toEqual(['hold', 'cancel', 'rollback']);
    expect(of([landed])).toEqual(['commit', 'rollback']);
    expect(of([makeMachine(0, { status: 'held' })])).toEqual(['release', 'cancel', 'rollback']);
    expect(of([makeMachine(0, { status: 'rolled-back' })])).toEqual(['retry']);
  });

  test('one that is held since it failed is tried again or released', () => {
    expect(of([makeMachine(0, { status: 'held', isTroubled: true, error: ERROR })])).toEqual([
      'retry',
      'release',
      'cancel',
      'rollback',
    ]);
  });

  test('what is committed has no way back', () => {
    expect(of([committed])).toEqual([]);
  });

  test('what goes back is left to go back', () => {
    expect(of([makeMachine(0, { status: 'rolling-back', isTroubled: true })])).toEqual([]);
  });
});

test('only approving takes an approver', () => {
  expect(roleFor('approve')).toBe('approver');
  expect(roleFor('rollback')).toBe('operator');
});

test('the title of the dialog says what is meant', () => {
  const names = ['<b>db</b>'];
  expect(sayMeant({ action: 'rollback', on: { kind: 'machines', names } }, 'w-1')).toBe(
    'Roll back: <b>db</b>',
  );
  expect(sayMeant({ action: 'retry', on: { kind: 'machines', names: ['a', 'b'] } }, 'w-1')).toBe(
    'Retry: 2 machines of w-1',
  );
});
