import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextWindow } from '../../src/domain/next-window.ts';
import type { WindowSpec } from '../../src/domain/window.ts';

const HOUR_MS = 3_600_000;
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'Pacific/Apia',
];

describe('a window on one date', () => {
  test('opens and closes by the clock of its zone', () => {
    expect(tell(once('2026-11-28T22:00', '2026-11-29T04:00'), '2026-11-01T00:00Z')).toEqual([
      '2026-11-28T21:00:00.000Z',
      '2026-11-29T03:00:00.000Z',
    ]);
  });

  test('is still there until the instant at which it closes', () => {
    const spec = once('2026-11-28T22:00', '2026-11-29T04:00');
    expect(tell(spec, '2026-11-29T02:59:59.999Z')).not.toBeNull();
    expect(tell(spec, '2026-11-29T03:00:00Z')).toBeNull();
  });

  test('lasts an hour less in the night that skips an hour, and one more in the night that repeats one', () => {
    expect(lengthOf(once('2026-03-28T22:00', '2026-03-29T04:00'))).toBe(5 * HOUR_MS);
    expect(lengthOf(once('2026-10-24T22:00', '2026-10-25T04:00'))).toBe(7 * HOUR_MS);
  });

  test('that opens in the skipped hour opens an hour later by the clock', () => {
    expect(tell(once('2026-03-29T02:30', '2026-03-29T06:00'), '2026-03-01T00:00Z')?.[0]).toBe(
      '2026-03-29T01:30:00.000Z',
    );
  });

  test('that would be over before its skipped opening begins where the clocks change', () => {
    expect(tell(once('2026-03-29T02:30', '2026-03-29T03:15'), '2026-03-01T00:00Z')).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-29T01:15:00.000Z',
    ]);
  });

  test('that opens in the repeated hour opens at its first time', () => {
    expect(tell(once('2026-10-25T02:30', '2026-10-25T06:00'), '2026-10-01T00:00Z')?.[0]).toBe(
      '2026-10-25T00:30:00.000Z',
    );
  });

  test('that closes before it opens never opens', () => {
    expect(tell(once('2026-11-28T22:00', '2026-11-28T21:00'), '2026-11-01T00:00Z')).toBeNull();
  });
});

describe('a window of every week', () => {
  test('opens at the same time of day on both sides of a change', () => {
    const spec = weekly({});
    expect(tell(spec, '2026-10-20T00:00Z')?.[0]).toBe('2026-10-24T20:00:00.000Z');
    expect(tell(spec, '2026-10-27T00:00Z')?.[0]).toBe('2026-10-31T21:00:00.000Z');
  });

  test('lasts as long in a night of change as in any other', () => {
    expect(tell(weekly({}), '2026-10-24T00:00Z')).toEqual([
      '2026-10-24T20:00:00.000Z',
      '2026-10-25T02:00:00.000Z',
    ]);
    expect(tell(weekly({}), '2026-03-28T00:00Z')).toEqual([
      '2026-03-28T21:00:00.000Z',
      '2026-03-29T03:00:00.000Z',
    ]);
  });

  test('is the open one after midnight, also where its next day is a blackout date', () => {
    expect(tell(weekly({ except: ['2026-10-25'] }), '2026-10-25T01:00Z')?.[0]).toBe(
      '2026-10-24T20:00:00.000Z',
    );
  });

  test('passes over blackout dates', () => {
    const except = ['2026-12-19', '2026-12-26', '2027-01-02'];
    expect(tell(weekly({ except }), '2026-12-14T00:00Z')?.[0]).toBe('2027-01-09T21:00:00.000Z');
  });

  test('opens on the nearest of several days', () => {
    expect(tell(weekly({ weekdays: [2, 6] }), '2026-11-22T12:00Z')?.[0]).toBe('2026-11-24T21:00:00.000Z');
  });

  test('without a day never opens', () => {
    expect(tell(weekly({ weekdays: [] }), '2026-11-22T12:00Z')).toBeNull();
  });
});

describe('any window', () => {
  const moments = fc.integer({ min: Date.UTC(2010, 0), max: Date.UTC(2032, 0) });
  const specs = fc.record({
    timezone: fc.constantFrom(...ZONES),
    weekdays: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
    hour: fc.integer({ min: 0, max: 23 }),
    minute: fc.integer({ min: 0, max: 59 }),
    lengthSeconds: fc.integer({ min: 60, max: 24 * 3600 }),
  });

  test('closes after now, opens before it closes, and never goes back as time goes on', () => {
    fc.assert(
      fc.property(specs, moments, fc.integer({ min: 0, max: 30 * 24 * HOUR_MS }), (parts, now, later) => {
        const at = `${String(parts.hour).padStart(2, '0')}:${String(parts.minute).padStart(2, '0')}`;
        const spec = weekly({ ...parts, at });
        const first = nextWindow(spec, now);
        const second = nextWindow(spec, now + later);
        if (first === null || second === null) throw new Error('a week without a window');
        expect(first.closesAt).toBeGreaterThan(now);
        expect(first.closesAt - first.opensAt).toBe(parts.lengthSeconds * 1000);
        expect(second.opensAt).toBeGreaterThanOrEqual(first.opensAt);
        // What closes after it is another one: nothing that is still open is passed over.
        expect(nextWindow(spec, first.closesAt - 1)).toEqual(first);
      }),
      { numRuns: 300 },
    );
  });
});

function once(opens: string, closes: string): WindowSpec {
  return { kind: 'once', timezone: 'Europe/Berlin', rollbackSeconds: 600, opens, closes };
}

function weekly(
  change: Partial<{
    timezone: string;
    weekdays: number[];
    at: string;
    lengthSeconds: number;
    except: string[];
  }>,
): WindowSpec {
  const { timezone = 'Europe/Berlin', weekdays = [6], at = '22:00', lengthSeconds = 6 * 3600 } = change;
  const { except = [] } = change;
  return { kind: 'weekly', timezone, rollbackSeconds: 600, weekdays, at, lengthSeconds, except };
}

function tell(spec: WindowSpec, now: string): string[] | null {
  const window = nextWindow(spec, Date.parse(now));
  return window && [window.opensAt, window.closesAt].map((at) => new Date(at).toISOString());
}

function lengthOf(spec: WindowSpec): number {
  const window = nextWindow(spec, 0);
  return window === null ? 0 : window.closesAt - window.opensAt;
}
