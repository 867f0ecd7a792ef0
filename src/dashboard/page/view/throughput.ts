/** Throughput as a chart wants it, and as a sentence. */
import type { Throughput } from '../../api/run.ts';
import { formatDuration, formatRate } from './sizes.ts';

export type Series = [times: number[], rates: (number | null)[], limits: (number | null)[]];

/** Without a sample nothing moved: the line goes to nought there, and does not slope across. */
export function seriesOf({ samples, everyMs }: Throughput): Series {
  const times: number[] = [];
  const rates: (number | null)[] = [];
  const limits: (number | null)[] = [];
  const add = (atMs: number, rate: number, limit: number | null): void => {
    times.push(atMs / 1000);
    rates.push(rate);
    limits.push(limit);
  };
  let previous: number | null = null;
  for (const { at, bytesPerSecond, limitBytesPerSecond } of samples) {
    if (previous !== null && at - previous > 1.5 * everyMs) {
      add(previous + everyMs, 0, null);
      if (at - previous > 2.5 * everyMs) add(at - everyMs, 0, null);
    }
    add(at, bytesPerSecond, limitBytesPerSecond);
    previous = at;
  }
  return [times, rates, limits];
}

export function sayThroughput({ samples, everyMs }: Throughput): string {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return 'Nothing has moved yet.';
  const rates = samples.map(({ bytesPerSecond }) => bytesPerSecond);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const limit = last.limitBytesPerSecond;
  return (
    `${formatRate(last.bytesPerSecond)} at last, ${formatRate(mean)} on average while something moved, ` +
    `${formatRate(Math.max(...rates))} at most, over ${formatDuration(last.at - first.at + everyMs)}; ` +
    `${limit === null ? 'no limit is set' : `the limit is ${formatRate(limit)}`}.`
  );
}
