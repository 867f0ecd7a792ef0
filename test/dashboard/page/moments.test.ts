import { expect, test } from 'vitest';
import {
  formatInBothZones,
  formatMoment,
  formatOwn,
  isSameClock,
  ownZone,
  shortZone,
} from '../../../src/dashboard/page/view/moments.ts';

const AT = Date.UTC(2026, 10, 21, 23, 40);
const OTHER = ownZone() === 'Asia/Kolkata' ? 'America/New_York' : 'Asia/Kolkata';

test('a moment is told in the zone of the wave', () => {
  expect(formatMoment(AT, 'full', 'Europe/Berlin')).toBe('Sun 22 Nov, 00:40');
  expect(formatMoment(AT, 'time', 'America/New_York')).toBe('18:40');
});

test('midnight is 00:00 and not 24:00', () => {
  expect(formatMoment(Date.UTC(2026, 0, 1), 'time', 'UTC')).toBe('00:00');
});

test("the viewer's own clock stands beside it where it shows something else", () => {
  expect(formatInBothZones(AT, 'time', OTHER)).toContain('for you');
  expect(formatInBothZones(AT, 'time', ownZone())).not.toContain('for you');
  expect(isSameClock(AT, OTHER)).toBe(false);
  expect(isSameClock(AT, null)).toBe(true);
});

test("the viewer's day is told only where it is another one", () => {
  const noon = Date.UTC(2026, 10, 21, 12);
  const days = [formatMoment(noon, 'day', null), formatMoment(noon, 'day', 'Pacific/Kiritimati')];
  expect(formatOwn(noon, 'full', ownZone())).toMatch(/^\d\d:\d\d$/);
  if (days[0] !== days[1]) expect(formatOwn(noon, 'full', 'Pacific/Kiritimati')).toMatch(/Nov/);
});

test("a zone that the browser does not know is the viewer's own", () => {
  expect(formatMoment(AT, 'full', 'Moon/Tranquility')).toBe(formatMoment(AT, 'full', null));
});

test('a zone is named by its place', () => {
  expect(shortZone('America/New_York')).toBe('New York');
});
