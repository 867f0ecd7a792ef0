import { describe, expect, test } from 'vitest';
import { clip, placeOf, spanOf, ticksOf } from '../../../src/dashboard/page/view/timeline.ts';
import { HOUR_MS, makeRun, makeRuns, NOW } from './fixture-run.ts';

describe('the stretch of the calendar', () => {
  test('holds the windows of what lives and what comes, and now', () => {
    const span = spanOf('fit', makeRuns(), NOW);
    for (const { window, endedAt } of makeRuns()) {
      if (window === null || endedAt !== null) continue;
      expect(placeOf(window.opensAt, span)).toBeGreaterThan(0);
      expect(placeOf(window.closesAt, span)).toBeLessThan(1);
    }
    expect(placeOf(NOW, span)).toBeGreaterThan(0);
  });

  test('is half a day at least, and is not stretched by a window in a year', () => {
    const far = makeRun({
      window: {
        opensAt: NOW + 9000 * HOUR_MS,
        closesAt: NOW + 9001 * HOUR_MS,
        rollbackBy: NOW,
        timezone: 'UTC',
      },
      estimate: { ...makeRun().estimate, endsAt: null },
    });
    const { from, to } = spanOf('fit', [far], NOW);
    expect(to - from).toBe(12 * HOUR_MS);
  });

  test('shows a quarter of what was in a day, a week, a month', () => {
    expect(placeOf(NOW, spanOf('week', [], NOW))).toBeCloseTo(0.25);
  });
});

test('what lies outside is not drawn, what sticks out is cut off', () => {
  const span = { from: 0, to: 100 };
  expect(clip({ from: -50, to: 25 }, span)).toEqual({ left: 0, width: 0.25 });
  expect(clip({ from: 120, to: 150 }, span)).toBeNull();
});

test.each([
  [6 * HOUR_MS, 9],
  [50 * HOUR_MS, 9],
  [31 * 24 * HOUR_MS, 9],
])('%i ms get no more than about as many ticks as fit, each inside and each labelled', (length, most) => {
  const span = { from: NOW, to: NOW + length };
  const ticks = ticksOf(span, most);
  expect(ticks.length).toBeGreaterThan(2);
  expect(ticks.length).toBeLessThanOrEqual(most + 1);
  for (const { at, label } of ticks) {
    expect(placeOf(at, span)).toBeGreaterThanOrEqual(0);
    expect(placeOf(at, span)).toBeLessThanOrEqual(1);
    expect(label).not.toBe('');
  }
});
