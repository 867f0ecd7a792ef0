/** What a wave file says of bandwidth: one rate, or rates by the time of day. */
import { type BandwidthPlan, type BandwidthSpan, overlap } from '../domain/bandwidth-plan.ts';
import { formatPath } from './wave-problem.ts';
import type { WaveReview } from './wave-review.ts';
import type { WaveFile } from './wave-schema.ts';
import { checkZone } from './wave-window.ts';

type Bandwidth = { bytesPerSecond?: number; bandwidthPlan?: BandwidthPlan };

/** What is wrong with it is among the problems then. */
export function readBandwidth(review: WaveReview, { limits, window }: WaveFile): Bandwidth {
  const { bandwidth, timezone = window?.timezone ?? 'UTC' } = limits ?? {};
  if (limits?.timezone !== undefined) checkZone(review, ['limits', 'timezone'], limits.timezone);
  if (bandwidth === undefined) return {};
  if (typeof bandwidth === 'number') return { bytesPerSecond: bandwidth };
  const spans = bandwidth.map(
    ({ from, to, rate }): BandwidthSpan => ({
      fromMinute: minuteOf(from),
      toMinute: minuteOf(to),
      bytesPerSecond: rate,
    }),
  );
  for (const [index, span] of spans.entries()) {
    const other = spans.findIndex((earlier, place) => place < index && overlap(earlier, span));
    if (other < 0) continue;
    const path = ['limits', 'bandwidth', index];
    review.problems.push({
      ...review.yaml.positionOf(path),
      where: formatPath(path),
      what: `has hours in common with bandwidth[${other}]`,
      remedy: 'Let one end where the other begins.',
    });
  }
  return { bandwidthPlan: { timezone, spans } };
}

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}
