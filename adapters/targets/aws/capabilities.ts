/** What AWS takes. https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Container } from '../../../src/domain/image.ts';
import type { TargetCapabilities } from '../../../src/domain/ports.ts';
import { MAX_DISKS } from './device-names.ts';

const TIB = 2 ** 40;
/** Over 8 TiB, AWS wants a manifest of pieces instead of one object. */
export const MAX_DISK_BYTES = 8 * TIB;
/** VMware's limit of a hosted sparse file; what writes and reads VMDK was never tried beyond it. */
const MAX_VMDK_BYTES = 2 * TIB;

export const AWS_CAPABILITIES: TargetCapabilities = {
  containers: ['vmdk-stream-optimized', 'raw', 'vhd-fixed'],
  maxDiskBytes: MAX_DISK_BYTES,
  maxDisks: MAX_DISKS,
  firmware: ['bios', 'uefi'],
};

/** Stream-optimised VMDK leaves holes out and compresses; RAW carries what is too large for it. */
export function containerFor({ bytes }: { bytes: number }): Container {
  if (bytes <= MAX_VMDK_BYTES) return 'vmdk-stream-optimized';
  if (bytes <= MAX_DISK_BYTES) return 'raw';
  throw new LandfallError({
    code: 'target-refused',
    message: `A disk of ${bytes} bytes is over the ${MAX_DISK_BYTES / TIB} TiB that AWS imports in one piece. Split it at the source.`,
    context: { bytes, maxBytes: MAX_DISK_BYTES },
  });
}
