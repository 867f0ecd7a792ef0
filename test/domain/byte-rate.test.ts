import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatByteRate, parseByteRate } from '../../src/domain/byte-rate.ts';

test.each([
  ['50 MB/s', 50_000_000],
  ['50MB/s', 50_000_000],
  ['1.5 kB/s', 1_500],
  ['1000 B/s', 1_000],
  ['30 MiB/s', 31_457_280],
  ['400 Mbit/s', 50_000_000],
  ['1 Gbit/s', 125_000_000],
  ['0.5 GiB/s', 536_870_912],
])('%s is %d bytes a second', (text, bytesPerSecond) => expect(parseByteRate(text)).toBe(bytesPerSecond));

test.each([
  '',
  '50',
  '50 MB',
  '50 Mb/s', // bits or bytes?
  '50 mb/s',
  '-1 MB/s',
  '0 MB/s',
  '999 B/s',
  '1001 GB/s',
  '1e3 MB/s',
  '5,5 MB/s',
  '50  MB/s',
  'none',
])('%j is no rate', (text) => expect(parseByteRate(text)).toBeNull());

test('what is written is read again, to a place after the point', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1_000, max: 1e12 }), (bytesPerSecond) => {
      const read = parseByteRate(formatByteRate(bytesPerSecond)) ?? 0;
      expect(Math.abs(read - bytesPerSecond) / bytesPerSecond).toBeLessThanOrEqual(0.05);
    }),
  );
  expect(formatByteRate(50e6)).toBe('50 MB/s');
  expect(formatByteRate(1_500)).toBe('1.5 kB/s');
  expect(formatByteRate(2.5e9)).toBe('2.5 GB/s');
});
