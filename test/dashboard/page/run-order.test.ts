import { describe, expect, test } from 'vitest';
import { groupRuns, sayOverview } from '../../../src/dashboard/page/view/run-order.ts';
import { HOUR_MS, makeRun, makeRuns, NOW } from './fixture-run.ts';

describe('runs', () => {
  test('that miss their window come first, then those with machines in trouble', () => {
    const calm = makeRun({ id: 'calm', troubled: 0 });
    const held = makeRun({ id: 'held', troubled: 0, hold: { by: 'ada', at: NOW, reason: null } });
    const { live } = groupRuns([calm, held, ...makeRuns()], NOW);
    expect(live.map(({ id }) => id)).toEqual(['branch-offices-7', 'weekend-1', 'held', 'calm']);
  });

  test('of equal urgency are listed by when their window closes', () => {
    const at = (id: string, hours: number) =>
      makeRun({
        id,
        troubled: 0,
        window: { opensAt: NOW, closesAt: NOW + hours * HOUR_MS, rollbackBy: NOW, timezone: 'UTC' },
      });
    const { live } = groupRuns(
      [at('late', 9), makeRun({ id: 'never', troubled: 0, window: null }), at('soon', 2)],
      NOW,
    );
    expect(live.map(({ id }) => id)).toEqual(['soon', 'late', 'never']);
  });

  test('whose window is far off are to come; within the hour they are live', () => {
    const { coming } = groupRuns(makeRuns(), NOW);
    expect(coming.map(({ id }) => id)).toEqual(['erp-1']);
    const opensAt = coming[0]?.window?.opensAt ?? 0;
    expect(groupRuns(makeRuns(), opensAt - HOUR_MS).coming).toEqual([]);
  });

  test('that are over or archived are past, the latest first', () => {
    expect(groupRuns(makeRuns(), NOW).past.map(({ id }) => id)).toEqual(['weekend-0', 'pilot-3']);
  });
});

describe('the overview', () => {
  test('says how many runs live, what is in trouble and what is missed', () => {
    expect(sayOverview(groupRuns(makeRuns(), NOW), NOW)).toBe(
      '2 runs live, 2 machines in trouble, 1 window will be missed',
    );
  });

  test('says who went back, also where nobody need act', () => {
    const run = makeRun({ troubled: 0 }, { 'rolled-back': 1 });
    expect(sayOverview(groupRuns([run], NOW), NOW)).toBe(
      '1 run live, nothing in trouble, 1 machine rolled back',
    );
  });

  test('says when the next window opens where nothing runs', () => {
    const coming = makeRuns().filter(({ id }) => id === 'erp-1');
    expect(sayOverview(groupRuns(coming, NOW), NOW)).toBe(
      'Nothing is running, the next window opens in 22 h',
    );
    expect(sayOverview(groupRuns([], NOW), NOW)).toBe('Nothing is running');
  });
});
