/** The window of a wave file, checked against the calendar: what no schema can say of it. */
import { Temporal } from 'temporal-polyfill';
import type { z } from 'zod';
import { nextWindow } from '../domain/next-window.ts';
import type { OverrunPolicy } from '../domain/wave.ts';
import type { WindowSpec } from '../domain/window.ts';
import { formatSpanUntil } from '../domain/zoned-time.ts';
import { closestWord } from './closest-word.ts';
import { WEEKDAYS, type windowSchema } from './cutover-schema.ts';
import { formatPath } from './wave-problem.ts';
import type { WaveReview } from './wave-review.ts';
import { DEFAULT_ROLLBACK_SECONDS } from './wave-schema.ts';

type WindowInFile = z.output<typeof windowSchema>;

const WEEK_SECONDS = 7 * 24 * 3_600;
const DAY_SECONDS = 24 * 3_600;

type Complain = (key: string | null, what: string, remedy: string) => null;

/** null where something is wrong with it, which is among the problems then. */
export function readWindow(
  review: WaveReview,
  window: WindowInFile,
  onOverrun: OverrunPolicy | undefined,
): WindowSpec | null {
  const complain: Complain = (key, what, remedy) => {
    const path = key === null ? ['window'] : ['window', key];
    review.problems.push({ ...review.yaml.positionOf(path), where: formatPath(path), what, remedy });
    return null;
  };
  if (!checkZone(review, ['window', 'timezone'], window.timezone)) return null;
  const spec = readTimes(window, complain);
  if (spec === null || onOverrun === 'finish') return spec;
  const { opensAt, closesAt } = nextWindow(spec, 0) ?? { opensAt: 0, closesAt: Number.POSITIVE_INFINITY };
  if (closesAt - opensAt > spec.rollbackSeconds * 1000) return spec;
  return complain(
    null,
    `is open no longer than a rollback takes (${formatSpanUntil(spec.rollbackSeconds * 1000)}): nothing could begin in it`,
    'Let it stay open longer, give a shorter `rollback`, or say `onOverrun: finish`.',
  );
}

function readTimes(window: WindowInFile, complain: Complain): WindowSpec | null {
  const { timezone } = window;
  const common = { timezone, rollbackSeconds: window.rollback ?? DEFAULT_ROLLBACK_SECONDS };
  const { opens, closes, every, at } = window;
  const lengthSeconds = window.for;
  const isOnce = opens !== undefined || closes !== undefined;
  const isWeekly = [every, at, lengthSeconds, window.except].some((value) => value !== undefined);
  if (isOnce === isWeekly)
    return complain(
      null,
      'says when it opens in no one way',
      'Give `opens` and `closes`, or `every`, `at` and `for`.',
    );
  if (isOnce) {
    if (opens === undefined) return complain(null, 'has no `opens`', 'Say when it opens.');
    if (closes === undefined) return complain(null, 'has no `closes`', 'Say when it closes.');
    for (const [key, text] of [
      ['opens', opens],
      ['closes', closes],
    ] as const)
      if (!isDateTime(text)) return complain(key, `is no date: ${text}`, 'Look at day and month.');
    const spec: WindowSpec = { ...common, kind: 'once', opens, closes };
    if (nextWindow(spec, 0) === null)
      return complain(
        'closes',
        `is not after \`opens\` in ${timezone}`,
        'A window closes after it opens; look at nights in which clocks change, too.',
      );
    return spec;
  }
  if (every === undefined) return complain(null, 'has no `every`', `Name days: ${WEEKDAYS.join(', ')}.`);
  if (at === undefined) return complain(null, 'has no `at`', "Say at what time it opens, such as '22:00'.");
  if (lengthSeconds === undefined)
    return complain(null, 'has no `for`', 'Say how long it stays open, such as 6h.');
  const weekdays = [every].flat().map((day) => WEEKDAYS.indexOf(day) + 1);
  if (lengthSeconds > shortestGapSeconds(weekdays))
    return complain(
      'for',
      'is longer than the time until the window opens again',
      'Let each end before the next opens.',
    );
  const except = window.except ?? [];
  const noDate = except.find((day) => !isDate(day));
  if (noDate !== undefined) return complain('except', `has no date: ${noDate}`, 'Look at day and month.');
  return { ...common, kind: 'weekly', weekdays, at, lengthSeconds, except };
}

/** false: there is no such zone, which is among the problems then. */
export function checkZone(
  { yaml, problems }: WaveReview,
  path: readonly PropertyKey[],
  timezone: string,
): boolean {
  if (isZone(timezone)) return true;
  const meant = closestZone(timezone);
  const remedy = meant === null ? 'Name one such as Europe/Berlin, or UTC.' : `Did you mean ${meant}?`;
  const what = `is no time zone: ${timezone}`;
  problems.push({ ...yaml.positionOf(path), where: formatPath(path), what, remedy });
  return false;
}

function isZone(name: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return !/^[+-]/.test(name);
  } catch {
    return false;
  }
}

/** Of the whole name, or of the city alone: `Berlin`, `CET/Berlin`. */
function closestZone(name: string): string | null {
  const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC'];
  const whole = closestWord(name, zones);
  if (whole !== null) return whole;
  const cityOf = (zone: string): string => zone.split('/').at(-1) ?? zone;
  const city = closestWord(cityOf(name), zones.map(cityOf));
  return zones.find((zone) => cityOf(zone) === city) ?? null;
}

function isDateTime(text: string): boolean {
  try {
    Temporal.PlainDateTime.from(text, { overflow: 'reject' });
    return true;
  } catch {
    return false;
  }
}

function isDate(text: string): boolean {
  return isDateTime(`${text}T00:00`);
}

/** From one opening to the next; an hour less, for the night in which clocks go forward. */
function shortestGapSeconds(weekdays: readonly number[]): number {
  const days = [...new Set(weekdays)].sort((a, b) => a - b);
  const gaps = days.map((day, index) => {
    const next = days[index + 1];
    return next === undefined ? (days[0] ?? day) + 7 - day : next - day;
  });
  return Math.min(WEEK_SECONDS, ...gaps.map((gap) => gap * DAY_SECONDS)) - 3_600;
}
