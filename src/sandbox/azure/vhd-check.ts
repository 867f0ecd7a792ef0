/**
 * What Azure asks of an uploaded VHD, judged by its footer: fixed, sound, of whole MiB and of exactly the size that the
 * disk was made for. Microsoft, "Virtual Hard Disk Image Format Specification", 1.0. Pure.
 */
import type { Refusal } from '../refusal.ts';
import { refuse } from './refusals.ts';

export const FOOTER_BYTES = 512;
const MIB = 1024 * 1024;
const FIXED = 2;
const CHECKSUM_AT = 64;

/** The refusal, or null for a VHD that Azure takes. */
export function judgeFooter({
  diskName,
  footer,
  uploadSizeBytes,
}: {
  diskName: string;
  footer: Buffer;
  uploadSizeBytes: number;
}): Refusal | null {
  if (footer.toString('latin1', 0, 8) !== 'conectix') {
    return invalidVhd(
      `The specified cookie value in VHD footer indicates that disk '${diskName}' is not a supported VHD. Disk is expected to have cookie value 'conectix'.`,
    );
  }
  if (footer.readUInt32BE(CHECKSUM_AT) !== checksumOf(footer)) {
    return invalidVhd(`The checksum in the VHD footer of disk '${diskName}' does not match its content.`);
  }
  if (footer.readUInt32BE(60) !== FIXED) {
    return invalidVhd(`Disk '${diskName}' is expected to be a fixed VHD; its footer names another type.`);
  }
  const virtualBytes = Number(footer.readBigUInt64BE(48));
  if (virtualBytes % MIB !== 0) {
    return invalidVhd(
      `The specified disk '${diskName}' has an unsupported virtual size of ${virtualBytes} bytes. The size must be a whole number (in MBs).`,
    );
  }
  if (virtualBytes + FOOTER_BYTES !== uploadSizeBytes) {
    return invalidVhd(
      `The VHD of disk '${diskName}' has a virtual size of ${virtualBytes} bytes, which with its footer is not the uploadSizeBytes of ${uploadSizeBytes} bytes that the disk was created for.`,
    );
  }
  return null;
}

/** One's complement of the sum of all bytes, the checksum's own left out. */
function checksumOf(footer: Buffer): number {
  let sum = 0;
  for (const [index, byte] of footer.entries()) {
    if (index < CHECKSUM_AT || index >= CHECKSUM_AT + 4) sum += byte;
  }
  return ~sum >>> 0;
}

function invalidVhd(message: string): Refusal {
  return refuse(400, 'InvalidVhd', message);
}
