/** What AWS takes, and how. https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html */
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Container, UploadForm } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { TargetCapabilities } from '../../../src/domain/ports.ts';
import { maxFileBytes } from '../../../src/images/stream-encoder.ts';
import { MAX_DISKS } from './device-names.ts';
import { type AwsOptions, viaOf } from './options.ts';

const KIB = 2 ** 10;
const TIB = 2 ** 40;
/** Of a snapshot, and of the volumes that are made from it. */
export const MAX_SNAPSHOT_BYTES = 64 * TIB;
/** By way of the bucket: over 8 TiB, VM Import wants a manifest of pieces instead of one object. */
export const MAX_DISK_BYTES = 8 * TIB;
/** Its tables count sectors of 512 bytes in 32 bits. */
const MAX_VMDK_FILE_BYTES = 2 ** 32 * 512;
/** https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html */
const SNAPSHOT_BLOCK_BYTES = 512 * KIB;

export const AWS_CAPABILITIES: TargetCapabilities = {
  containers: ['vmdk-stream-optimized', 'raw', 'vhd-fixed'],
  maxDiskBytes: MAX_SNAPSHOT_BYTES,
  maxDisks: MAX_DISKS,
  firmware: ['bios', 'uefi'],
};

/** Throws `target-refused` where the disk is too large for the way that its machine takes. */
export function uploadForm(
  options: Pick<AwsOptions, 'via'>,
  { bytes, to }: { bytes: number; to: JsonObject },
): UploadForm {
  const via = viaOf(options, to);
  switch (via) {
    case 'ebs-direct':
      if (bytes > MAX_SNAPSHOT_BYTES) throw tooLarge(bytes);
      return { kind: 'blocks', blockBytes: SNAPSHOT_BLOCK_BYTES };
    case 'import-snapshot':
    case 'import-image':
      return { kind: 'parts', container: containerFor(bytes) };
    default:
      return via satisfies never;
  }
}

/** Stream-optimised VMDK leaves holes out and compresses; RAW carries what could become too large for it. */
function containerFor(bytes: number): Container {
  const container = 'vmdk-stream-optimized';
  if (maxFileBytes({ container, diskBytes: bytes, dataBytes: bytes }) <= MAX_VMDK_FILE_BYTES)
    return container;
  if (bytes <= MAX_DISK_BYTES) return 'raw';
  throw tooLarge(bytes);
}

function tooLarge(bytes: number): LandfallError {
  const size = `A disk of ${formatBytes(bytes)} (${bytes} bytes)`;
  const message =
    bytes > MAX_SNAPSHOT_BYTES
      ? `${size} is over the ${MAX_SNAPSHOT_BYTES / TIB} TiB of AWS's largest volumes. Split it at the source.`
      : `${size} is over the ${MAX_DISK_BYTES / TIB} TiB that AWS imports in one piece. Let the machine go by \`via: ebs-direct\`, which takes up to ${MAX_SNAPSHOT_BYTES / TIB} TiB, or split the disk at the source.`;
  return new LandfallError({ code: 'target-refused', message, context: { bytes } });
}
