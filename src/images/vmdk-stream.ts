/**
 * The layout of a stream-optimised VMDK, as numbers and pieces of the file. It is written front to back: head, grains,
 * each table after its grains, then the directory, a footer that says where that is, and the end of the stream.
 * VMware, "Virtual Disk Format 1.1", "Stream-Optimized Compressed Sparse Extents". Numbers are little-endian.
 */
import { createHash } from 'node:crypto';
import { SECTOR_BYTES } from './disk-size.ts';
import { GRAIN_BYTES } from './vmdk-grain.ts';

export const ENTRIES_PER_TABLE = 512;
export const TABLE_BYTES = ENTRIES_PER_TABLE * 4;
export const DISK_BYTES_PER_TABLE = ENTRIES_PER_TABLE * GRAIN_BYTES;
/** The first grain begins on the boundary of a grain, as VMware's own tools have it. */
export const HEAD_BYTES = GRAIN_BYTES;
/** A table or a directory in the file is led by a sector that says what it is. */
export const MARKER_BYTES = SECTOR_BYTES;
/** Marker, footer, end of stream. */
export const FOOTER_BYTES = 3 * SECTOR_BYTES;

const MARKER = { table: 1, directory: 2, footer: 3 } as const;
/** qemu's own room for it; the rest of the head stays zero. */
const DESCRIPTOR_SECTORS = 20;
/** Line ends can be tested; grains are compressed; grains have markers. */
const FLAGS = 0x1 | 0x1_0000 | 0x2_0000;
const VERSION = 3;
const DEFLATE = 1;
const DIRECTORY_AT_END = 0xffff_ffff_ffff_ffffn;
/** So that a transfer which takes the file for text is found out. */
const LINE_ENDS = '\n \r\n';

export function tableCountOf(diskBytes: number): number {
  return Math.ceil(diskBytes / DISK_BYTES_PER_TABLE);
}

/** `identity` is what the disk's content id is made from. */
export function vmdkHead({ diskBytes, identity }: { diskBytes: number; identity: string }): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  sparseHeader({ diskBytes, directory: DIRECTORY_AT_END }).copy(head);
  head.write(descriptor({ diskBytes, identity }), SECTOR_BYTES, 'latin1');
  return head;
}

export function vmdkTable(entries: Buffer): Buffer {
  return Buffer.concat([marker(MARKER.table, entries.length), entries]);
}

/** What ends the file, in pieces of at most `pieceBytes`; `startSector` is where it begins. */
export function* vmdkTail(tail: {
  diskBytes: number;
  directory: Buffer;
  startSector: number;
  pieceBytes: number;
}): Generator<Buffer> {
  const { diskBytes, directory, startSector, pieceBytes } = tail;
  yield marker(MARKER.directory, directory.length);
  for (let at = 0; at < directory.length; at += pieceBytes)
    yield wholeSectors(directory.subarray(at, at + pieceBytes));
  const footer = sparseHeader({ diskBytes, directory: BigInt(startSector + 1) });
  const endOfStream = Buffer.alloc(SECTOR_BYTES);
  yield Buffer.concat([marker(MARKER.footer, SECTOR_BYTES), footer, endOfStream]);
}

export function tailBytesOf(diskBytes: number): number {
  const directorySectors = Math.ceil((tableCountOf(diskBytes) * 4) / SECTOR_BYTES);
  return MARKER_BYTES + directorySectors * SECTOR_BYTES + FOOTER_BYTES;
}

function sparseHeader({ diskBytes, directory }: { diskBytes: number; directory: bigint }): Buffer {
  const header = Buffer.alloc(SECTOR_BYTES);
  header.write('KDMV', 0, 'latin1');
  header.writeUInt32LE(VERSION, 4);
  header.writeUInt32LE(FLAGS, 8);
  header.writeBigUInt64LE(BigInt(sectorsOf(diskBytes)), 12);
  header.writeBigUInt64LE(BigInt(GRAIN_BYTES / SECTOR_BYTES), 20);
  header.writeBigUInt64LE(1n, 28);
  header.writeBigUInt64LE(BigInt(DESCRIPTOR_SECTORS), 36);
  header.writeUInt32LE(ENTRIES_PER_TABLE, 44);
  header.writeBigUInt64LE(directory, 56);
  header.writeBigUInt64LE(BigInt(HEAD_BYTES / SECTOR_BYTES), 64);
  header.write(LINE_ENDS, 73, 'latin1');
  header.writeUInt16LE(DEFLATE, 77);
  return header;
}

/** What qemu writes for `adapter_type=lsilogic,subformat=streamOptimized,compat6`, which is known to import well. */
function descriptor({ diskBytes, identity }: { diskBytes: number; identity: string }): string {
  const heads = 255;
  const sectorsPerTrack = 63;
  const cylinders = Math.max(1, Math.floor(diskBytes / (heads * sectorsPerTrack * SECTOR_BYTES)));
  return `# Disk DescriptorFile
version=1
CID=${contentId(identity)}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW ${sectorsOf(diskBytes)} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "6"
ddb.geometry.cylinders = "${cylinders}"
ddb.geometry.heads = "${heads}"
ddb.geometry.sectors = "${sectorsPerTrack}"
ddb.adapterType = "lsilogic"
ddb.toolsVersion = "2147483647"
`;
}

/** Below 2^31: ffffffff means "no parent", and fffffffe "not set". */
function contentId(identity: string): string {
  const id = createHash('sha256').update(identity).digest().readUInt32BE(0) & 0x7fff_ffff;
  return id.toString(16).padStart(8, '0');
}

function marker(type: (typeof MARKER)[keyof typeof MARKER], lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(MARKER_BYTES);
  bytes.writeBigUInt64LE(BigInt(sectorsOf(lengthBytes)), 0);
  bytes.writeUInt32LE(type, 12);
  return bytes;
}

function wholeSectors(bytes: Buffer): Buffer {
  const padding = sectorsOf(bytes.length) * SECTOR_BYTES - bytes.length;
  return padding === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(padding)]);
}

function sectorsOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / SECTOR_BYTES);
}
