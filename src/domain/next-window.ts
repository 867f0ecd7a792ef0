/** The arithmetic of windows, over time zones and the changes of their clocks. */
import { Temporal } from 'temporal-polyfill';
import type { Window, WindowSpec } from './window.ts';

type Once = Extract<WindowSpec, { kind: 'once' }>;
type Weekly = Extract<WindowSpec, { kind: 'weekly' }>;

const SECONDS_PER_DAY = 86_400;
const DAYS_PER_WEEK = 7;

/** The first occurrence that has not closed at `now`; null: there is none any more. */
export function nextWindow(spec: WindowSpec, now: number): Window | null {
  const window = spec.kind === 'once' ? windowOnce(spec) : weeklyWindow(spec, now);
  return window !== null && window.closesAt > now ? window : null;
}

/** null: it closes before it opens, which wave files are refused for. */
function windowOnce({ opens, closes, timezone }: Once): Window | null {
  const opening = instantOf(Temporal.PlainDateTime.from(opens), timezone);
  const closesAt = instantOf(Temporal.PlainDateTime.from(closes), timezone).epochMilliseconds;
  if (opening.epochMilliseconds < closesAt) return { opensAt: opening.epochMilliseconds, closesAt };
  // 02:30 to 03:15 in the night that skips 02:00 to 03:00: what is left of it begins where the clocks change.
  const change = opening.getTimeZoneTransition('previous');
  const isSkipped = !opening.toPlainDateTime().equals(Temporal.PlainDateTime.from(opens));
  if (!isSkipped || change === null || change.epochMilliseconds >= closesAt) return null;
  return { opensAt: change.epochMilliseconds, closesAt };
}

function weeklyWindow(spec: Weekly, now: number): Window | null {
  const lengthDays = Math.ceil(spec.lengthSeconds / SECONDS_PER_DAY);
  // Days of 25 hours, and a zone that skips one whole day: two more days back miss no occurrence that is still open.
  const first = Temporal.Instant.fromEpochMilliseconds(now)
    .toZonedDateTimeISO(spec.timezone)
    .toPlainDate()
    .subtract({ days: lengthDays + 2 });
  const at = Temporal.PlainTime.from(spec.at);
  // Each blackout date can take away one week's only occurrence.
  const daysToTry = lengthDays + 2 + DAYS_PER_WEEK * (spec.except.length + 2);
  for (let days = 0; days <= daysToTry; days += 1) {
    const date = first.add({ days });
    if (!spec.weekdays.includes(date.dayOfWeek) || spec.except.includes(date.toString())) continue;
    const opensAt = instantOf(date.toPlainDateTime(at), spec.timezone).epochMilliseconds;
    const closesAt = opensAt + spec.lengthSeconds * 1000;
    if (closesAt > now) return { opensAt, closesAt };
  }
  return null;
}

/** Of a time that a day has twice, the first; one that it skips is as much later as the clocks jump. */
function instantOf(time: Temporal.PlainDateTime, timezone: string): Temporal.ZonedDateTime {
  return time.toZonedDateTime(timezone, { disambiguation: 'compatible' });
}
