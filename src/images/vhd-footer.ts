/**
 * The end of a fixed VHD: 512 bytes after the disk. Big-endian.
 * Microsoft, "Virtual Hard Disk Image Format Specification", "Hard Disk Footer Format".
 */
import { createHash } from 'node:crypto';
import { SECTOR_BYTES } from './disk-size.ts';

export const VHD_FOOTER_BYTES = 512;

/** Azure takes whole MiB only: https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic */
const ALIGNMENT_BYTES = 2 ** 20;
const FEATURES_RESERVED = 2;
const VERSION_1_0 = 0x0001_0000;
const NO_HEADER = 0xffff_ffff_ffff_ffffn;
/**
 * Hyper-V, version 10. For a creator it does not know, and for its own old name, qemu takes the disk's size from the CHS
 * geometry, which cannot say every size and ends at 127 GiB; for Hyper-V it reads the current size, as Azure does.
 */
const CREATOR = { application: 'win ', version: 0x000a_0000, host: 'Wi2k' };
const FIXED = 2;
const CHECKSUM_AT = 64;
const UUID_AT = 68;

/** The disk's length in the file. */
export function vhdDiskBytes(diskBytes: number): number {
  return Math.ceil(diskBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/** The same bytes for the same size and identity, in every attempt: its time stamp stays at 2000-01-01. */
export function vhdFooter({ diskBytes, identity }: { diskBytes: number; identity: string }): Buffer {
  const sizeBytes = vhdDiskBytes(diskBytes);
  const footer = Buffer.alloc(VHD_FOOTER_BYTES);
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(FEATURES_RESERVED, 8);
  footer.writeUInt32BE(VERSION_1_0, 12);
  footer.writeBigUInt64BE(NO_HEADER, 16);
  footer.write(CREATOR.application, 28, 'latin1');
  footer.writeUInt32BE(CREATOR.version, 32);
  footer.write(CREATOR.host, 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(sizeBytes), 40);
  footer.writeBigUInt64BE(BigInt(sizeBytes), 48);
  const { cylinders, heads, sectorsPerTrack } = geometryOf(sizeBytes);
  footer.writeUInt16BE(cylinders, 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectorsPerTrack, 59);
  footer.writeUInt32BE(FIXED, 60);
  uuidOf(identity).copy(footer, UUID_AT);
  footer.writeUInt32BE(checksumOf(footer), CHECKSUM_AT);
  return footer;
}

type Geometry = { cylinders: number; heads: number; sectorsPerTrack: number };

/** The specification's own calculation ("Appendix: CHS Calculation"): the largest geometry that fits into the disk. */
function geometryOf(diskBytes: number): Geometry {
  const sectors = Math.min(diskBytes / SECTOR_BYTES, 65_535 * 16 * 255);
  if (sectors >= 65_535 * 16 * 63) return fitGeometry({ sectors, heads: 16, sectorsPerTrack: 255 });
  const heads = Math.max(4, Math.ceil(Math.floor(sectors / 17) / 1024));
  if (heads <= 16 && Math.floor(sectors / 17) < heads * 1024)
    return fitGeometry({ sectors, heads, sectorsPerTrack: 17 });
  if (Math.floor(sectors / 31) < 16 * 1024) return fitGeometry({ sectors, heads: 16, sectorsPerTrack: 31 });
  return fitGeometry({ sectors, heads: 16, sectorsPerTrack: 63 });
}

function fitGeometry(disk: { sectors: number; heads: number; sectorsPerTrack: number }): Geometry {
  const { sectors, heads, sectorsPerTrack } = disk;
  const cylinders = Math.floor(Math.floor(sectors / sectorsPerTrack) / heads);
  return { cylinders, heads, sectorsPerTrack };
}

/** Version 8 of RFC 9562: bits of one's own making. */
function uuidOf(identity: string): Buffer {
  const uuid = createHash('sha256').update(identity).digest().subarray(0, 16);
  uuid.writeUInt8((uuid.readUInt8(6) & 0x0f) | 0x80, 6);
  uuid.writeUInt8((uuid.readUInt8(8) & 0x3f) | 0x80, 8);
  return uuid;
}

/** One's complement of the sum of all bytes; the checksum itself is still zero. */
function checksumOf(footer: Buffer): number {
  return ~footer.reduce((sum, byte) => sum + byte, 0) >>> 0;
}
