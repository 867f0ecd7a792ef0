import { describe, expect, test } from 'vitest';
import { formatRate, formatSpan, formatTable } from '../../src/cli/format.ts';
import { formatBytes } from '../../src/domain/byte-size.ts';
import { formatDuration } from '../../src/domain/duration.ts';

describe('numbers as operators read them', () => {
  test.each([
    [0, '0 bytes'],
    [1023, '1023 bytes'],
    [1536, '1.5 KiB'],
    [28.3 * 1024 ** 2, '28.3 MiB'],
    [256 * 1024 ** 2, '256 MiB'],
    [1024 ** 4, '1 TiB'],
    [64 * 1024 ** 5, '64 PiB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0, '0:00'],
    [12_400, '0:12'],
    [843_000, '14:03'],
    [7_509_000, '2:05:09'],
  ])('%d ms to go are %s', (durationMs, text) => expect(formatDuration(durationMs)).toBe(text));

  test.each([
    [120, '0.1 s'],
    [38_200, '38 s'],
    [843_000, '14:03 min'],
  ])('%d ms spent are %s', (durationMs, text) => expect(formatSpan(durationMs)).toBe(text));

  test('rates are decimal', () =>
    expect([formatRate(142e6), formatRate(1.26e6)]).toEqual(['142 MB/s', '1.3 MB/s']));

  test('columns are as wide as their widest cell, without blanks at the end', () => {
    expect(
      formatTable([
        ['a', 'bb', ''],
        ['ccc', 'd', 'e'],
      ]),
    ).toEqual(['a    bb', 'ccc  d   e']);
    expect(formatTable([])).toEqual([]);
  });
});
