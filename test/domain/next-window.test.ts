import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextWindow } from '../../src/domain/next-window.ts';
import type { WindowSpec } from '../../src/domain/window.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function once(opens: string, closes: string, timezone = 'Europe/Berlin'): WindowSpec {
  return { kind: 'once', timezone, rollbackSeconds: 600, opens, closes };
}

type Weekly = Extract<WindowSpec, { kind: 'weekly' }>;

function weekly(some: Partial<Weekly> = {}): WindowSpec {
  return {
    kind: 'weekly',
    timezone: 'Europe/Berlin',
    rollbackSeconds: 600,
    weekdays: [6],
    at: '22:00',
    lengthSeconds: 6 * 3600,
    except: [],
    ...some,
  };
}

const utc = (text: string): number => Date.parse(`${text}Z`);

describe('a window that comes once', () => {
  it('is the same until it closes, and gone then', () => {
    const spec = once('2026-11-28T22:00', '2026-11-29T04:00');
    const window = { opensAt: utc('2026-11-28T21:00'), closesAt: utc('2026-11-29T03:00') };
    expect(nextWindow(spec, 0)).toEqual(window);
    expect(nextWindow(spec, window.closesAt - 1)).toEqual(window);
    expect(nextWindow(spec, window.closesAt)).toBeNull();
  });

  it.each([
    ['spring', '2026-03-28T22:00', '2026-03-29T04:00', 5],
    ['autumn', '2026-10-24T22:00', '2026-10-25T04:00', 7],
    ['no change', '2026-11-28T22:00', '2026-11-29T04:00', 6],
  ])('by the clock on the wall: from 22:00 to 4:00 over the night of %s', (_, opens, closes, hours) => {
    const window = nextWindow(once(opens, closes), 0);
    expect(window && window.closesAt - window.opensAt).toBe(hours * HOUR);
  });

  it('opens an hour later where the day skips its hour, and at the first of two where it comes twice', () => {
    expect(nextWindow(once('2026-03-29T02:30', '2026-03-29T06:00'), 0)?.opensAt).toBe(
      utc('2026-03-29T01:30'),
    );
    expect(nextWindow(once('2026-10-25T02:30', '2026-10-25T06:00'), 0)?.opensAt).toBe(
      utc('2026-10-25T00:30'),
    );
  });
});

describe('a window in the hour that a night skips', () => {
  it('never comes, since it has no length', () => {
    expect(nextWindow(once('2026-03-29T02:30', '2026-03-29T03:30'), 0)).toBeNull();
    expect(nextWindow(once('2026-03-29T02:30', '2026-03-29T03:00'), 0)).toBeNull();
    expect(nextWindow(once('2026-03-29T02:30', '2026-03-29T03:31'), 0)).not.toBeNull();
  });
});

describe('a window that comes every week', () => {
  it('is the one that is open, else the next', () => {
    const first = { opensAt: utc('2026-11-28T21:00'), closesAt: utc('2026-11-29T03:00') };
    expect(nextWindow(weekly(), utc('2026-11-23T03:00'))).toEqual(first);
    expect(nextWindow(weekly(), first.opensAt)).toEqual(first);
    expect(nextWindow(weekly(), first.closesAt - 1)).toEqual(first);
    expect(nextWindow(weekly(), first.closesAt)?.opensAt).toBe(first.opensAt + 7 * DAY);
  });

  it('leaves out the days that are excepted', () => {
    const spec = weekly({ except: ['2026-11-28', '2026-12-05'] });
    expect(nextWindow(spec, utc('2026-11-23T03:00'))?.opensAt).toBe(utc('2026-12-12T21:00'));
  });

  it('opens at the same time of the wall all the year, and lasts as long by any clock', () => {
    const summer = nextWindow(weekly(), utc('2026-07-01T00:00'));
    expect(summer?.opensAt).toBe(utc('2026-07-04T20:00'));
    for (const night of ['2026-03-28T12:00', '2026-10-24T12:00']) {
      const window = nextWindow(weekly(), utc(night));
      expect(window && window.closesAt - window.opensAt).toBe(6 * HOUR);
    }
  });

  it('follows the zone beyond the date line', () => {
    const spec = weekly({ timezone: 'Pacific/Kiritimati', at: '00:30', weekdays: [7] });
    expect(nextWindow(spec, utc('2026-11-27T00:00'))?.opensAt).toBe(utc('2026-11-28T10:30'));
  });

  it('that is always left out never comes', () => {
    const days = Array.from({ length: 800 }, (_none, week) =>
      new Date(utc('2026-11-28T12:00') + week * 7 * DAY).toISOString().slice(0, 10),
    );
    expect(nextWindow(weekly({ except: days }), utc('2026-11-23T03:00'))).toBeNull();
  });

  it('always closes after now, opens before it closes, and never goes back in time', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu'];
    fc.assert(
      fc.property(
        fc.record({
          timezone: fc.constantFrom(...zones),
          weekdays: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
          hour: fc.nat(23),
          lengthSeconds: fc.integer({ min: 60, max: 20 * 3600 }),
          now: fc.integer({ min: utc('2026-01-01T00:00'), max: utc('2028-01-01T00:00') }),
          laterMs: fc.nat(30 * DAY),
        }),
        ({ hour, now, laterMs, ...some }) => {
          const spec = weekly({ ...some, at: `${String(hour).padStart(2, '0')}:15` });
          const window = nextWindow(spec, now);
          const later = nextWindow(spec, now + laterMs);
          if (window === null || later === null) throw new Error('there is always a next week');
          expect(window.closesAt).toBeGreaterThan(now);
          expect(window.closesAt - window.opensAt).toBe(some.lengthSeconds * 1000);
          expect(window.opensAt).toBeLessThan(now + 8 * DAY);
          expect(later.opensAt).toBeGreaterThanOrEqual(window.opensAt);
        },
      ),
    );
  });
});
