import { expect, test } from 'vitest';
import {
  count,
  formatBytes,
  formatClock,
  formatDuration,
  percentOf,
} from '../../../src/dashboard/page/view/sizes.ts';

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [1024 ** 3 * 1.5, '1.50 GiB'],
  [1024 ** 2 * 1023.9, '1.00 GiB'],
  [1024 ** 4 * 12.34, '12.3 TiB'],
  [-5, '0 B'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [-1, '0 s'],
  [59_900, '59 s'],
  [60_000, '1 min'],
  [4_200_000, '1 h 10 min'],
  [7_200_000, '2 h'],
  [183_600_000, '2 d 3 h'],
])('%d ms are %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test.each([
  [3_849_000, '1:04:09'],
  [9_000, '00:09'],
])('%d ms on a clock are %s', (ms, text) => {
  expect(formatClock(ms)).toBe(text);
});

test('percents say 100 only when it is all, and 0 only when it is nothing', () => {
  expect([
    percentOf(0, 10),
    percentOf(1, 1e6),
    percentOf(999_999, 1e6),
    percentOf(10, 10),
    percentOf(0, 0),
  ]).toEqual([0, 1, 99, 100, 0]);
});

test('one is counted in the singular', () => {
  expect([count(0, 'machine'), count(1, 'machine'), count(1200, 'machine')]).toEqual([
    '0 machines',
    '1 machine',
    '1,200 machines',
  ]);
});
