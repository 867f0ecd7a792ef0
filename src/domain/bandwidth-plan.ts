/** What a wave lets its workers send, by the hour of the day. */
import { Temporal } from 'temporal-polyfill';

/** From one minute of the day to another, the first included; over midnight where it ends before it begins. */
export type BandwidthSpan = { fromMinute: number; toMinute: number; bytesPerSecond: number };

export type BandwidthPlan = {
  /** IANA name: the spans are of its clock. */
  timezone: string;
  /** None overlaps another. Outside of them nothing holds anybody up. */
  spans: readonly BandwidthSpan[];
};

/** Bytes per second at `now` (ms since the epoch); undefined: as fast as it goes. */
export function plannedRate(
  { bytesPerSecond, bandwidthPlan }: { bytesPerSecond?: number; bandwidthPlan?: BandwidthPlan },
  now: number,
): number | undefined {
  if (bandwidthPlan === undefined) return bytesPerSecond;
  const { hour, minute } = Temporal.Instant.fromEpochMilliseconds(now).toZonedDateTimeISO(
    bandwidthPlan.timezone,
  );
  return bandwidthPlan.spans.find((span) => holds(span, hour * 60 + minute))?.bytesPerSecond;
}

/** What holds at `now`: what an operator set goes before what the wave says. null: nothing does. */
export function rateInForce(
  set: number | 'none' | null,
  planned: Parameters<typeof plannedRate>[0],
  now: number,
): number | null {
  if (set === null) return plannedRate(planned, now) ?? null;
  return set === 'none' ? null : set;
}

/** Do two spans share a minute? */
export function overlap(a: BandwidthSpan, b: BandwidthSpan): boolean {
  return holds(a, b.fromMinute) || holds(b, a.fromMinute);
}

function holds({ fromMinute, toMinute }: BandwidthSpan, minute: number): boolean {
  return fromMinute < toMinute
    ? minute >= fromMinute && minute < toMinute
    : minute >= fromMinute || minute < toMinute;
}
