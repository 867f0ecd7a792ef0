/** How an object is cut into parts. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */

const MIB = 2 ** 20;
const MAX_PARTS = 10_000;
export const MIN_PART_BYTES = 5 * MIB;
export const MAX_PART_BYTES = 5 * 2 ** 30;

/** The wanted size, or what keeps the object within 10,000 parts, in whole MiB. */
export function partSizeFor({
  lengthBytes,
  wantedBytes,
}: {
  lengthBytes: number;
  wantedBytes: number;
}): number {
  const leastBytes = Math.ceil(lengthBytes / MAX_PARTS / MIB) * MIB;
  const partBytes = Math.max(wantedBytes, leastBytes, MIN_PART_BYTES);
  if (partBytes > MAX_PART_BYTES) throw new RangeError(`${lengthBytes} bytes do not fit an S3 object`);
  return partBytes;
}

export function partCountFor({ lengthBytes, partBytes }: { lengthBytes: number; partBytes: number }): number {
  return Math.max(1, Math.ceil(lengthBytes / partBytes));
}

/** Length of one part, numbered from 1; only the last is shorter. */
export function lengthOfPart(
  number: number,
  { lengthBytes, partBytes }: { lengthBytes: number; partBytes: number },
): number {
  return Math.min(partBytes, lengthBytes - (number - 1) * partBytes);
}
