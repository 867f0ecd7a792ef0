/**
 * CRC-32 as S3, gzip and zlib compute it (reflected polynomial 0xEDB88320), as unsigned numbers, and the CRC of a whole
 * from the CRCs of its parts. CRC-32 is linear, so parts may be summed in any order, by any worker, and the whole's
 * checksum is known without reading anything twice.
 */
import { crc32 as zlibCrc32 } from 'node:zlib';

/** The checksum of one of the parts of a whole, and the part's length. */
export type PartCrc32 = { crc32: number; bytes: number };

const POLYNOMIAL = 0xedb88320;
/** In the reflected representation the polynomial 1 is the top bit, and x is the bit below it. */
const ONE = 0x80000000;
const X = 0x40000000;
/** Lengths are counted in bytes up to 2^53; x^(8 × 2^k) is needed for each bit k of a length. */
const LENGTH_BITS = 53;
const POWERS = powersOfX();

/** CRC-32 of the bytes; `seed` is the CRC of what came before them. Native: about 5 GB/s on one core. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return zlibCrc32(bytes, seed);
}

/**
 * CRC-32 of the parts put together in this order. A part costs one multiplication of 32 steps, and one of another length
 * than the part before it up to 53 more: 10,000 parts of one size take about a millisecond.
 */
export function combineCrc32(parts: Iterable<PartCrc32>): number {
  let whole = 0;
  let shift = { bytes: 0, factor: ONE };
  for (const part of parts) {
    if (part.bytes !== shift.bytes) shift = { bytes: part.bytes, factor: xToThe8Times(part.bytes) };
    whole = multiply(shift.factor, whole) ^ part.crc32;
  }
  return whole >>> 0;
}

/** As S3 writes it: the four bytes, most significant first, in base64. */
export function crc32ToBase64(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc >>> 0);
  return bytes.toString('base64');
}

/** null when the text does not hold exactly four bytes. */
export function crc32FromBase64(text: string): number | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 4 ? bytes.readUInt32BE() : null;
}

/** As digests are written: eight lower-case hexadecimal digits. */
export function crc32ToHex(crc: number): string {
  return (crc >>> 0).toString(16).padStart(8, '0');
}

/** x^(8 × bytes) modulo the polynomial: multiplying a CRC by it is the same as appending that many zero bytes. */
function xToThe8Times(bytes: number): number {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`not a length in bytes: ${bytes}`);
  let product = ONE;
  let rest = bytes;
  for (let bit = 0; rest > 0; bit += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) product = multiply(POWERS[bit] as number, product);
  }
  return product;
}

/** a × b modulo the polynomial over GF(2), both reflected. zlib does the same in `crc32_combine`. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit -= 1) {
    if ((a >>> bit) & 1) product ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return product;
}

/** x^8, x^16, x^32 …: each the square of the one before. */
function powersOfX(): readonly number[] {
  let power = X;
  for (let squarings = 0; squarings < 3; squarings += 1) power = multiply(power, power);
  const powers: number[] = [];
  for (let bit = 0; bit < LENGTH_BITS; bit += 1) {
    powers.push(power);
    power = multiply(power, power);
  }
  return powers;
}
