/**
 * How a file of unknown length is cut into parts. S3 takes 10,000 of them, and a file that is made while it is sent is
 * known by an upper bound only: parts of one size that held the bound would be large from the first on, and most files
 * stay far below theirs. So parts grow with their number: short files never see a large one, and the bound still fits.
 *
 * Memory: whoever writes holds (parts in flight + the one that is filled) × (`partBytesOf` of the last of them + 1 MiB).
 * Examples, at 8 MiB first: a bound of 78 GiB never grows; with one of 1 TiB, parts are 15 MiB after 4 GiB of file and
 * 203 MiB at its end; with one of 8 TiB (RAW), 53 MiB after 8 GiB and 1.7 GiB at its end.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
 */

const MIB = 2 ** 20;
export const MAX_PARTS = 10_000;
export const MIN_PART_BYTES = 5 * MIB;
export const MAX_PART_BYTES = 5 * 2 ** 30;
/** By so much a part may be longer than asked, since it is cut where the format allows it. */
export const MAX_EXCESS_BYTES = MIB;

/** Fixed by the first attempt at an upload: later ones must cut alike, or a part would be longer than planned for. */
export type PartSizes = { firstBytes: number; growthBytes: number };

/** The wanted size first, and the least growth with which 10,000 parts hold the bound. Throws `RangeError`. */
export function partSizesFor(file: { maxFileBytes: number; wantedBytes: number }): PartSizes {
  const { maxFileBytes, wantedBytes } = file;
  const firstBytes = Math.max(Math.ceil(wantedBytes / MIB) * MIB, MIN_PART_BYTES);
  const sizes = { firstBytes, growthBytes: growthFor(maxFileBytes, firstBytes) };
  if (partBytesOf(MAX_PARTS, sizes) + MAX_EXCESS_BYTES > MAX_PART_BYTES)
    throw new RangeError(`${maxFileBytes} bytes do not fit 10,000 parts of at most 5 GiB`);
  return sizes;
}

/** Least length of one part, numbered from 1, in whole MiB; only the last of a file is shorter. */
export function partBytesOf(number: number, { firstBytes, growthBytes }: PartSizes): number {
  return firstBytes + Math.floor((growthBytes * (number - 1)) / MIB) * MIB;
}

/** The sum over n parts is n × first + growth × n(n-1)/2, less what whole MiB cut off: under 1 MiB a part. */
function growthFor(maxFileBytes: number, firstBytes: number): number {
  const restBytes = maxFileBytes - MAX_PARTS * firstBytes;
  if (restBytes <= 0) return 0;
  return Math.ceil((restBytes + MAX_PARTS * MIB) / ((MAX_PARTS * (MAX_PARTS - 1)) / 2));
}
