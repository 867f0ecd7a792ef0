import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  MAX_EXCESS_BYTES,
  MAX_PART_BYTES,
  MAX_PARTS,
  MIN_PART_BYTES,
  type PartSizes,
  partBytesOf,
  partSizesFor,
} from '../../../../adapters/targets/aws/part-size.ts';

const MIB = 2 ** 20;
const TIB = 2 ** 40;

test('a file that 10,000 parts of the wanted size hold is cut evenly', () => {
  const sizes = partSizesFor({ maxFileBytes: 78 * 1024 * MIB, wantedBytes: 8 * MIB });
  expect(sizes).toEqual({ firstBytes: 8 * MIB, growthBytes: 0 });
  expect(partBytesOf(MAX_PARTS, sizes)).toBe(8 * MIB);
});

test('a short file with a large bound never sees a large part', () => {
  const sizes = partSizesFor({ maxFileBytes: TIB, wantedBytes: 8 * MIB });
  expect(partBytesOf(1, sizes)).toBe(8 * MIB);
  expect(lastPartOf(4 * 1024 * MIB, sizes)).toBeLessThanOrEqual(16 * MIB);
});

test('10,000 parts hold the bound, grow, and are of a size that S3 takes', () => {
  const bound = fc.integer({ min: 1, max: 16 * TIB });
  const wanted = fc.integer({ min: 1, max: 128 * MIB });
  fc.assert(
    fc.property(bound, wanted, (maxFileBytes, wantedBytes) => {
      const sizes = partSizesFor({ maxFileBytes, wantedBytes });
      let sumBytes = 0;
      let beforeBytes = MIN_PART_BYTES;
      for (let number = 1; number <= MAX_PARTS; number += 1) {
        const bytes = partBytesOf(number, sizes);
        if (bytes < beforeBytes || bytes % MIB !== 0) throw new Error(`part ${number} has ${bytes} bytes`);
        beforeBytes = bytes;
        sumBytes += bytes;
      }
      expect(sumBytes).toBeGreaterThanOrEqual(maxFileBytes);
      expect(beforeBytes + MAX_EXCESS_BYTES).toBeLessThanOrEqual(MAX_PART_BYTES);
    }),
  );
});

test('refuses what no S3 object can hold', () => {
  expect(() => partSizesFor({ maxFileBytes: 60 * TIB, wantedBytes: 8 * MIB })).toThrow(RangeError);
});

function lastPartOf(fileBytes: number, sizes: PartSizes): number {
  let number = 0;
  for (let sum = 0; sum < fileBytes; sum += partBytesOf(number, sizes)) number += 1;
  return partBytesOf(number, sizes);
}
