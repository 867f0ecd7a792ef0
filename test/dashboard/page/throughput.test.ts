import { expect, test } from 'vitest';
import { sayThroughput, seriesOf } from '../../../src/dashboard/page/view/throughput.ts';

const MIB = 1024 ** 2;
const sample = (at: number, mib: number) => ({
  at,
  bytesPerSecond: mib * MIB,
  limitBytesPerSecond: 100 * MIB,
});

test('where there is no sample the rate goes to nought and does not slope', () => {
  const [times, rates, limits] = seriesOf({
    everyMs: 10_000,
    samples: [sample(0, 50), sample(10_000, 60), sample(60_000, 70)],
  });
  expect(times).toEqual([0, 10, 20, 50, 60]);
  expect(rates).toEqual([50 * MIB, 60 * MIB, 0, 0, 70 * MIB]);
  expect(limits).toEqual([100 * MIB, 100 * MIB, null, null, 100 * MIB]);
});

test('what the chart shows is told in words', () => {
  expect(sayThroughput({ everyMs: 10_000, samples: [sample(0, 50), sample(50_000, 70)] })).toBe(
    '73.4 MB/s at last, 62.9 MB/s on average while something moved, 73.4 MB/s at most, over 1 min; the limit is 105 MB/s.',
  );
  expect(sayThroughput({ everyMs: 10_000, samples: [] })).toBe('Nothing has moved yet.');
});
