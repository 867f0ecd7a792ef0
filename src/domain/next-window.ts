/** The arithmetic of windows, over time zones and the changes of their clocks. */
import { Temporal } from 'temporal-polyfill';
import type { Window, WindowSpec } from './window.ts';

type Weekly = Extract<WindowSpec, { kind: 'weekly' }>;

/** A window that is left out for ten years never comes. */
const MAX_DAYS = 3_660;

/**
 * The first occurrence that has not closed at `now` (ms since the epoch); null: there is none any more, or never was: one that
 * lies in the hour that a day skips.
 */
export function nextWindow(spec: WindowSpec, now: number): Window | null {
  if (spec.kind === 'weekly') return nextOfWeekly(spec, now);
  const window = {
    opensAt: instantOf(Temporal.PlainDateTime.from(spec.opens), spec.timezone),
    closesAt: instantOf(Temporal.PlainDateTime.from(spec.closes), spec.timezone),
  };
  return window.closesAt > Math.max(now, window.opensAt) ? window : null;
}

function nextOfWeekly({ timezone, weekdays, at, lengthSeconds, except }: Weekly, now: number): Window | null {
  const time = Temporal.PlainTime.from(at);
  const left = new Set(except);
  // One that opened as long ago as it lasts may still be open; a day more for the difference between zones.
  const earliest = now - lengthSeconds * 1000;
  let day = Temporal.Instant.fromEpochMilliseconds(earliest)
    .toZonedDateTimeISO(timezone)
    .toPlainDate()
    .subtract({ days: 1 });
  for (let days = 0; days < MAX_DAYS; days += 1, day = day.add({ days: 1 })) {
    if (!weekdays.includes(day.dayOfWeek) || left.has(day.toString())) continue;
    const opensAt = instantOf(day.toPlainDateTime(time), timezone);
    const closesAt = opensAt + lengthSeconds * 1000;
    if (closesAt > now) return { opensAt, closesAt };
  }
  return null;
}

/** A time that a day skips is the one an hour later; of a time that comes twice, the first. */
function instantOf(local: Temporal.PlainDateTime, timezone: string): number {
  return local.toZonedDateTime(timezone, { disambiguation: 'compatible' }).epochMilliseconds;
}
