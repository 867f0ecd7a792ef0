import { describe, expect, test } from 'vitest';
import type { ShownEvent } from '../../../src/dashboard/api/machine.ts';
import { extentOf, rowsOf, ticksOf } from '../../../src/dashboard/page/view/gantt.ts';
import { makeEvents, makeMachineDetail, makeStep } from './fixture-machine.ts';
import { MINUTE_MS, makeMachine, makeRun, NOW } from './fixture-run.ts';

const at = (minutes: number): number => NOW - minutes * MINUTE_MS;

function event(minutes: number, state: string, tries: number, message: string | null = null): ShownEvent {
  const error = message === null ? null : { code: 'X', message, retryable: true };
  const id = `${at(minutes)}-0`;
  return {
    id,
    at: at(minutes),
    type: 'step',
    run: 'r',
    machine: 'm',
    step: 'import',
    state,
    try: tries,
    error,
    text: '',
  };
}

function barsOf(step: Parameters<typeof makeStep>[0], events: ShownEvent[]) {
  const [row] = rowsOf([makeStep({ stage: 'import', ...step })], events, NOW);
  return (row?.bars ?? []).map((bar) => [bar.try, bar.state, bar.from, bar.to]);
}

describe('tries', () => {
  test('each is a bar of its own, with why it failed', () => {
    const events = [
      event(60, 'started', 1),
      event(40, 'retrying', 2, 'reset'),
      event(20, 'retrying', 3, 'again'),
    ];
    const step = { state: 'active', try: 3, failures: 2, startedAt: at(60) } as const;
    expect(barsOf(step, events)).toEqual([
      [1, 'failed', at(60), at(40)],
      [2, 'failed', at(40), at(20)],
      [3, 'active', at(20), null],
    ]);
    const [row] = rowsOf([makeStep({ stage: 'import', ...step })], events, NOW);
    expect(row?.bars[0]?.error).toBe('reset');
    expect(row?.words).toBe('at work for 1 h, try 3');
  });

  test('one that waits ends where it begins', () => {
    const events = [event(60, 'started', 1), event(1, 'retrying', 2, 'reset')];
    const step = { state: 'active', try: 2, startedAt: at(60), notBefore: NOW + MINUTE_MS } as const;
    expect(barsOf(step, events).at(-1)).toEqual([2, 'waiting', at(1), NOW + MINUTE_MS]);
  });

  test('where the events are gone the step is one bar', () => {
    expect(barsOf({ state: 'done', try: 4, startedAt: at(60), endedAt: at(10) }, [])).toEqual([
      [4, 'done', at(60), at(10)],
    ]);
  });

  test('an end that no event told of is still there', () => {
    const events = [event(60, 'started', 1), event(40, 'failed', 1, 'no')];
    expect(barsOf({ state: 'done', try: 2, startedAt: at(60), endedAt: at(30) }, events)).toEqual([
      [1, 'failed', at(60), at(40)],
      [2, 'done', at(40), at(30)],
    ]);
  });

  test('of a stream that begins in the middle the first try begins with the step', () => {
    expect(
      barsOf({ state: 'done', try: 1, startedAt: at(60), endedAt: at(10) }, [event(10, 'done', 1)]),
    ).toEqual([[1, 'done', at(60), at(10)]]);
  });

  test('what has not begun has none', () => {
    expect(barsOf({ state: 'pending' }, [])).toEqual([]);
    expect(barsOf({ state: 'active' }, [event(5, 'offered', 1)])).toEqual([]);
  });
});

test('rows are in the order of the flow', () => {
  const detail = makeMachineDetail(makeRun(), makeMachine(0, { status: 'failed' }));
  const rows = rowsOf(detail.steps.toReversed(), makeEvents('weekend-1', 'm'), NOW);
  expect(rows[0]?.name).toBe('shut down');
  expect(rows.at(-1)?.name).toBe('admit');
  expect(rows.find(({ key }) => key === 'upload/vda')?.words).toBe('failed after 50 min, try 3');
});

test('nobody means to roll back before it begins', () => {
  const rollback = makeStep({ stage: 'rollback' });
  expect(rowsOf([rollback], [], NOW)).toEqual([]);
  expect(rowsOf([{ ...rollback, state: 'active', startedAt: at(1) }], [], NOW)).toHaveLength(1);
});

test('the line of time holds all bars and has few ticks', () => {
  const rows = rowsOf([makeStep({ stage: 'import', state: 'active', startedAt: at(90) })], [], NOW);
  const extent = extentOf(rows, NOW);
  expect(extent).toEqual({ from: at(90), to: NOW });
  if (extent === null) return;
  expect(ticksOf(extent, 6).map((tick) => (tick - extent.from) / MINUTE_MS)).toEqual([0, 30, 60, 90]);
  expect(extentOf([], NOW)).toBeNull();
  expect(ticksOf({ from: 0, to: 30 * 24 * 60 * MINUTE_MS }, 6).length).toBeLessThanOrEqual(7);
});
