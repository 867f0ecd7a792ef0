/** What a virtual disk may be as large as, whatever its format. */
import { COPY_AGAIN, corruptImage, hostileImage } from './refusal.ts';

export const SECTOR_BYTES = 512;
/** VHDX, the roomiest format, ends at 64 TiB; so do the clouds' largest disks. */
export const MAX_DISK_BYTES = 64 * 2 ** 40;

/** The claimed virtual size as a number. Throws where no disk can be that large. */
export function checkDiskBytes(claim: { label: string; bytes: bigint | number }): number {
  const { label } = claim;
  const bytes = BigInt(claim.bytes);
  if (bytes > BigInt(MAX_DISK_BYTES)) {
    throw hostileImage({
      label,
      found: `it claims a disk of ${bytes} bytes (${bytes / 2n ** 40n} TiB), and the most that is believed is 64 TiB`,
      remedy: 'If the disk is real, shrink it; otherwise find out who made this image.',
      context: { claimedBytes: String(bytes) },
    });
  }
  if (bytes === 0n) {
    throw corruptImage({ label, found: 'it holds a disk of zero bytes', remedy: 'Leave the disk out.' });
  }
  if (bytes % BigInt(SECTOR_BYTES) !== 0n) {
    throw corruptImage({
      label,
      found: `its disk of ${bytes} bytes is no whole number of 512-byte sectors: it is cut off or damaged`,
      remedy: COPY_AGAIN,
      context: { claimedBytes: String(bytes) },
    });
  }
  return Number(bytes);
}

/** A 64-bit offset or count as a number. Beyond 2^53 it points outside of every file there is. */
export function asOffset(value: bigint, { label, what }: { label: string; what: string }): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw corruptImage({
    label,
    found: `${what} holds ${value}, far beyond the end of the image`,
    remedy: 'Copy or export it again from its source and compare the sizes.',
  });
}
