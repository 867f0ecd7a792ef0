import { describe, expect, test } from 'vitest';
import { formatMoment, formatSpanUntil, parseUntil } from '../../src/domain/zoned-time.ts';

const HOUR = 3_600_000;
const timezone = 'Europe/Berlin';
/** Saturday, 23:30 in Berlin; the night in which its clocks go back by an hour at 03:00. */
const now = Date.parse('2026-10-24T21:30:00Z');

describe('a moment', () => {
  test('is told in the zone that it is asked for, with its day', () => {
    expect(formatMoment(now, timezone)).toBe('Sat 2026-10-24 23:30 Europe/Berlin');
    expect(formatMoment(now + 5 * HOUR, timezone)).toBe('Sun 2026-10-25 03:30 Europe/Berlin');
    expect(formatMoment(now + 1_000, 'UTC')).toBe('Sat 2026-10-24 21:30:01 UTC');
  });
});

describe('what an operator means by until', () => {
  test.each([
    ['6h', 6 * HOUR],
    ['90m', 1.5 * HOUR],
    ['2h30m', 2.5 * HOUR],
    // 04:00 is five and a half hours away in that night, not four and a half.
    ['04:00', 5.5 * HOUR],
    ['4:00', 5.5 * HOUR],
    ['23:45', HOUR / 4],
    ['23:00', 24.5 * HOUR],
    ['2026-10-25T04:00', 5.5 * HOUR],
    ['2026-10-25T04:00+01:00', 5.5 * HOUR],
    ['2026-10-25T03:00:00Z', 5.5 * HOUR],
  ])('%s', (text, fromNowMs) => {
    expect((parseUntil(text, { now, timezone }) ?? 0) - now).toBe(fromNowMs);
  });

  test.each(['', 'tomorrow', '25:00', '2026-13-01T04:00', '6 h', 'h'])('is nothing for %j', (text) => {
    expect(parseUntil(text, { now, timezone })).toBe(null);
  });
});

describe('a span', () => {
  test.each([
    [12_000, '12 s'],
    [250_000, '4 min 10 s'],
    [2 * HOUR + 5 * 60_000, '2 h 05 min'],
    [74 * HOUR, '3 d 2 h'],
    [-5, '0 s'],
  ])('of %d ms is told by the two units that matter', (durationMs, text) => {
    expect(formatSpanUntil(durationMs)).toBe(text);
  });
});
