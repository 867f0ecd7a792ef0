/** What Azure takes, and how. https://learn.microsoft.com/azure/virtual-machines/linux/disks-upload-vhd-to-managed-disk-cli */

import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { UploadForm } from '../../../src/domain/image.ts';
import type { TargetCapabilities } from '../../../src/domain/ports.ts';

const GIB = 2 ** 30;
/**
 * 32,767 GiB: of every kind of disk that boots a machine or is attached to one from an upload.
 * https://learn.microsoft.com/azure/virtual-machines/disks-types
 */
export const MAX_DISK_BYTES = 32_767 * GIB;
/** The boot disk and 64 data disks, which only the largest sizes take: the size is checked against its own number. */
const MAX_DISKS = 65;

export const AZURE_CAPABILITIES: TargetCapabilities = {
  // What a disk is made of at Azure; it goes up in blocks, and no file is made.
  containers: ['vhd-fixed'],
  maxDiskBytes: MAX_DISK_BYTES,
  maxDisks: MAX_DISKS,
  firmware: ['bios', 'uefi'],
};

/** Throws `target-refused` where the disk is too large. */
export function uploadForm({ bytes }: { bytes: number }): UploadForm {
  if (bytes <= MAX_DISK_BYTES) return { kind: 'blocks', blockBytes: BLOCK_BYTES };
  throw new LandfallError({
    code: 'target-refused',
    message: `A disk of ${formatBytes(bytes)} (${bytes} bytes) is over the ${MAX_DISK_BYTES / GIB} GiB of Azure's largest disks. Split it at the source.`,
    context: { bytes },
  });
}
