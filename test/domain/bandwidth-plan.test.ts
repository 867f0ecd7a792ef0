import { describe, expect, it } from 'vitest';
import { overlap, plannedRate } from '../../src/domain/bandwidth-plan.ts';

const DAY = { fromMinute: 8 * 60, toMinute: 18 * 60, bytesPerSecond: 50 };
const NIGHT = { fromMinute: 22 * 60, toMinute: 6 * 60, bytesPerSecond: 900 };
const plan = { timezone: 'Europe/Berlin', spans: [DAY, NIGHT] };

describe('plannedRate', () => {
  it.each([
    ['07:59', undefined],
    ['08:00', 50],
    ['17:59', 50],
    ['18:00', undefined],
    ['22:00', 900],
    ['23:59', 900],
    ['00:00', 900],
    ['05:59', 900],
    ['06:00', undefined],
  ])('at %s in Berlin is %s', (time, rate) => {
    const now = Date.parse(`2026-11-23T${time}:00+01:00`);
    expect(plannedRate({ bandwidthPlan: plan }, now)).toBe(rate);
  });

  it('follows the clock of its zone through the year', () => {
    expect(plannedRate({ bandwidthPlan: plan }, Date.parse('2026-07-01T06:30:00Z'))).toBe(50);
    expect(plannedRate({ bandwidthPlan: plan }, Date.parse('2026-12-01T06:30:00Z'))).toBeUndefined();
  });

  it('is the one rate where there is no plan', () => {
    expect(plannedRate({ bytesPerSecond: 7 }, 0)).toBe(7);
    expect(plannedRate({}, 0)).toBeUndefined();
  });
});

describe('overlap', () => {
  it('sees spans over midnight', () => {
    expect(overlap(DAY, NIGHT)).toBe(false);
    expect(overlap(NIGHT, { ...DAY, fromMinute: 5 * 60 })).toBe(true);
    expect(overlap(DAY, DAY)).toBe(true);
  });
});
