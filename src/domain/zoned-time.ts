/** Moments as people of a wave's zone read and write them. */
import { Temporal } from 'temporal-polyfill';

const DURATION = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/;
const TIME_OF_DAY = /^\d{1,2}:\d{2}(:\d{2})?$/;
const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** `Sat 2026-11-28 22:00 Europe/Berlin`; seconds only where there are some. */
export function formatMoment(at: number, timezone: string): string {
  const time = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timezone);
  const clock = time.toPlainTime().toString({ smallestUnit: time.second === 0 ? 'minute' : 'second' });
  return `${WEEKDAYS[time.dayOfWeek - 1]} ${time.toPlainDate()} ${clock} ${timezone}`;
}

/** `3 d 2 h`, `2 h 05 min`, `4 min 10 s`, `12 s`: the two units that matter. */
export function formatSpanUntil(durationMs: number): string {
  const seconds = Math.max(0, Math.ceil(durationMs / 1000));
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  return minutes > 0 ? `${minutes} min ${String(seconds % 60).padStart(2, '0')} s` : `${seconds} s`;
}

/**
 * What an operator means by `6h`, `2h30m`, `04:00` (the next time that it is), `2026-11-29T04:00` in the wave's zone, or
 * a time with its own offset; ms since the epoch. null: it is none of these.
 */
export function parseUntil(text: string, of: { now: number; timezone: string }): number | null {
  const { now, timezone } = of;
  const duration = DURATION.exec(text);
  if (duration !== null && text !== '') {
    const [days = 0, hours = 0, minutes = 0, seconds = 0] = duration
      .slice(1)
      .map((part) => Number(part ?? 0));
    return now + (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  }
  try {
    if (TIME_OF_DAY.test(text)) return nextTimeOfDay(text.replace(/^\d:/, '0$&'), of);
    if (/(Z|[+-]\d{2}:?\d{2})$/.test(text) && text.includes('T'))
      return Temporal.Instant.from(text).epochMilliseconds;
    return Temporal.PlainDateTime.from(text).toZonedDateTime(timezone).epochMilliseconds;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function nextTimeOfDay(text: string, { now, timezone }: { now: number; timezone: string }): number {
  const time = Temporal.PlainTime.from(text);
  const today = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(timezone).toPlainDate();
  const at = today.toZonedDateTime({ timeZone: timezone, plainTime: time });
  if (at.epochMilliseconds > now) return at.epochMilliseconds;
  return today.add({ days: 1 }).toZonedDateTime({ timeZone: timezone, plainTime: time }).epochMilliseconds;
}
