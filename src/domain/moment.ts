/** Moments as operators read them. */
import { Temporal } from 'temporal-polyfill';

/** `2026-11-28 22:00 Europe/Berlin`: in the wave's own zone, whatever that of the reader is. */
export function describeMoment(at: number, timezone: string): string {
  const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(timezone).toPlainDateTime();
  const smallestUnit = local.second === 0 ? 'minute' : 'second';
  return `${local.toString({ smallestUnit }).replace('T', ' ')} ${timezone}`;
}
