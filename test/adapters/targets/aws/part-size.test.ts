import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  lengthOfPart,
  MIN_PART_BYTES,
  partCountFor,
  partSizeFor,
} from '../../../../adapters/targets/aws/part-size.ts';

const MIB = 2 ** 20;
const TIB = 2 ** 40;

test('a small object keeps the wanted size', () => {
  expect(partSizeFor({ lengthBytes: 100 * MIB, wantedBytes: 16 * MIB })).toBe(16 * MIB);
});

test('never below the least that S3 takes', () => {
  expect(partSizeFor({ lengthBytes: 100, wantedBytes: 1 })).toBe(MIN_PART_BYTES);
});

test('no object has more than 10,000 parts, and the parts are the whole of it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 16 * TIB }), (lengthBytes) => {
      const partBytes = partSizeFor({ lengthBytes, wantedBytes: 16 * MIB });
      const layout = { lengthBytes, partBytes };
      const partCount = partCountFor(layout);
      expect(partCount).toBeLessThanOrEqual(10_000);
      const last = lengthOfPart(partCount, layout);
      expect(last).toBeGreaterThan(0);
      expect((partCount - 1) * partBytes + last).toBe(lengthBytes);
    }),
  );
});

test('refuses what no S3 object can hold', () => {
  expect(() => partSizeFor({ lengthBytes: 60 * TIB, wantedBytes: 16 * MIB })).toThrow(RangeError);
});
