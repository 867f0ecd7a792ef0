import { expect, test } from 'vitest';
import { uploadForm } from '../../../../adapters/targets/aws/capabilities.ts';

const TIB = 2 ** 40;
const S3 = { via: 'import-snapshot' } as const;
const DIRECT = { via: 'ebs-direct' } as const;

test.each([
  [1, 'vmdk-stream-optimized'],
  [1.9 * TIB, 'vmdk-stream-optimized'],
  [2 * TIB, 'raw'],
  [8 * TIB, 'raw'],
])('a disk of %d bytes goes through S3 as %s', (bytes, container) => {
  expect(uploadForm(S3, { bytes: Math.floor(bytes), to: {} })).toEqual({ kind: 'parts', container });
});

test('a disk over 8 TiB is refused with the way that takes it', () => {
  const large = { bytes: 8 * TIB + 512, to: {} };
  expect(() => uploadForm(S3, large)).toThrow(/over the 8 TiB.*via: ebs-direct/);
  expect(uploadForm(DIRECT, large)).toEqual({ kind: 'blocks', blockBytes: 524_288 });
  expect(() => uploadForm(DIRECT, { bytes: 64 * TIB + 512, to: {} })).toThrow(/over the 64 TiB/);
});

test("a machine's own way wins over the target's", () => {
  expect(uploadForm(S3, { bytes: TIB, to: { via: 'ebs-direct' } }).kind).toBe('blocks');
  expect(uploadForm(DIRECT, { bytes: TIB, to: { via: 'import-image' } }).kind).toBe('parts');
});
