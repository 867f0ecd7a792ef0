/** The VHDX part of the header guard. Layout: [MS-VHDX]. Numbers are little-endian. */
import { crc32c } from './crc32c.ts';
import { asOffset, checkDiskBytes, SECTOR_BYTES } from './disk-size.ts';
import type { ImageHeader } from './image-header.ts';
import { COPY_AGAIN, corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import type { SliceReader } from './slice-reader.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const HEADER_OFFSETS = [64 * KIB, 128 * KIB];
const HEADER_BYTES = 4 * KIB;
/** qemu reads the first of the two copies only. */
const REGION_TABLE = { offsetBytes: 192 * KIB, lengthBytes: 64 * KIB };
const METADATA_TABLE_BYTES = 64 * KIB;
const ENTRIES_START = { regions: 16, metadata: 32 };
const ENTRY_BYTES = 32;
const MAX_ENTRIES = 2047;
const NO_GUID = '00000000-0000-0000-0000-000000000000';

const REGION = {
  blockTable: '2dc27766-f623-4200-9d64-115e9bfd4a08',
  metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
};
const ITEM = {
  fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  diskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  sectorSize: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
};
const PARAMETER = { isFixed: 1, hasParent: 2 };
const BLOCK_PRESENT = 6;
/** [MS-VHDX] 2.5.1.1: sectors that one block of the sector bitmap covers. */
const SECTORS_PER_BITMAP_BLOCK = 2 ** 23;

type Place = { offsetBytes: number; lengthBytes: number };

type Disk = { bytes: number; blockBytes: number; isFixed: boolean };

export async function inspectVhdx(reader: SliceReader): Promise<ImageHeader> {
  await checkHeaders(reader);
  const regions = await readRegions(reader);
  const disk = await readMetadata(reader, regions.metadata);
  await checkBlocks(reader, { disk, table: regions.blockTable });
  return { format: 'vhdx', bytes: disk.bytes, subformat: disk.isFixed ? 'fixed' : 'dynamic' };
}

/** Of the two headers the sound one with the higher sequence number counts: a torn write spoils only the other. */
async function checkHeaders(reader: SliceReader): Promise<void> {
  let current: Buffer | null = null;
  for (const offsetBytes of HEADER_OFFSETS) {
    const header = await reader.read({ offsetBytes, lengthBytes: HEADER_BYTES, what: 'a header' });
    if (header.toString('latin1', 0, 4) !== 'head' || !isSealed(header)) continue;
    if (current === null || header.readBigUInt64LE(8) > current.readBigUInt64LE(8)) current = header;
  }
  if (current === null) throw damaged(reader, 'both of its headers are torn');
  if (current.readUInt16LE(66) !== 1) {
    throw unreadableImage({
      label: reader.label,
      found: `it is a VHDX of version ${current.readUInt16LE(66)}`,
      remedy: 'Convert it to VHDX version 1.',
    });
  }
  if (readGuid(current, 48) === NO_GUID) return;
  throw corruptImage({
    label: reader.label,
    found: 'its log is not empty: it is in use, or was not closed cleanly',
    remedy:
      'Shut the machine down; if it is off, mount and dismount the disk once in Hyper-V to replay the log.',
  });
}

async function readRegions(reader: SliceReader): Promise<{ blockTable: Place; metadata: Place }> {
  const table = await reader.read({ ...REGION_TABLE, what: 'its region table' });
  if (table.toString('latin1', 0, 4) !== 'regi' || !isSealed(table)) {
    throw damaged(reader, 'its region table is torn');
  }
  const regions = new Map<string, Place>();
  for (const entry of entriesOf(reader, {
    table,
    count: table.readUInt32LE(8),
    start: ENTRIES_START.regions,
  })) {
    const guid = readGuid(entry, 0);
    const isRequired = (entry.readUInt32LE(28) & 1) !== 0;
    if (isRequired && !Object.values(REGION).includes(guid)) {
      throw hostileImage({
        label: reader.label,
        found: `it needs a region that is not known (${guid})`,
        remedy: 'Convert it to a plain VHDX with `Convert-VHD`.',
      });
    }
    const offsetBytes = asOffset(entry.readBigUInt64LE(16), { label: reader.label, what: 'a region' });
    const place = { offsetBytes, lengthBytes: entry.readUInt32LE(24) };
    reader.expect({ ...place, what: 'a region' });
    regions.set(guid, place);
  }
  const blockTable = regions.get(REGION.blockTable);
  const metadata = regions.get(REGION.metadata);
  if (blockTable === undefined || metadata === undefined) {
    throw damaged(reader, 'its region table names no block table or no metadata');
  }
  return { blockTable, metadata };
}

async function readMetadata(reader: SliceReader, region: Place): Promise<Disk> {
  const { label } = reader;
  const what = 'its metadata table';
  const table = await reader.read({
    offsetBytes: region.offsetBytes,
    lengthBytes: METADATA_TABLE_BYTES,
    what,
  });
  if (table.toString('latin1', 0, 8) !== 'metadata') throw damaged(reader, `${what} is gone`);
  const places = new Map<string, Place>();
  for (const entry of entriesOf(reader, {
    table,
    count: table.readUInt16LE(10),
    start: ENTRIES_START.metadata,
  })) {
    const offsetBytes = region.offsetBytes + entry.readUInt32LE(16);
    places.set(readGuid(entry, 0), { offsetBytes, lengthBytes: entry.readUInt32LE(20) });
  }
  if (places.has(ITEM.parentLocator)) throw differencing(label);
  const item = async (guid: string, { name, bytes }: { name: string; bytes: number }): Promise<Buffer> => {
    const place = places.get(guid);
    if (place === undefined) throw damaged(reader, `its metadata has no ${name}`);
    return await reader.read({ offsetBytes: place.offsetBytes, lengthBytes: bytes, what: `its ${name}` });
  };
  const parameters = await item(ITEM.fileParameters, { name: 'file parameters', bytes: 8 });
  const size = await item(ITEM.diskSize, { name: 'disk size', bytes: 8 });
  const sector = await item(ITEM.sectorSize, { name: 'sector size', bytes: 4 });
  const flags = parameters.readUInt32LE(4);
  if ((flags & PARAMETER.hasParent) !== 0) throw differencing(label);
  refuseLargeSectors(label, sector.readUInt32LE(0));
  return {
    bytes: checkDiskBytes({ label, bytes: size.readBigUInt64LE(0) }),
    blockBytes: checkBlockSize(reader, parameters.readUInt32LE(0)),
    isFixed: (flags & PARAMETER.isFixed) !== 0,
  };
}

/** Every block that is present lies within the file, as far as the disk reaches. */
async function checkBlocks(reader: SliceReader, { disk, table }: { disk: Disk; table: Place }) {
  const { bytes, blockBytes } = disk;
  const blocks = Math.ceil(bytes / blockBytes);
  // After so many entries of blocks one entry of a sector bitmap follows.
  const chunkRatio = (SECTORS_PER_BITMAP_BLOCK * SECTOR_BYTES) / blockBytes;
  const entries = blocks + Math.floor((blocks - 1) / chunkRatio);
  const what = 'its block table';
  if (entries * 8 > table.lengthBytes) throw damaged(reader, `${what} is too small for its disk`);
  let index = 0;
  const used = { offsetBytes: table.offsetBytes, lengthBytes: entries * 8, what };
  for await (const batch of reader.readInBatches(used)) {
    for (let at = 0; at < batch.length; at += 8, index += 1) {
      const state = batch.readUInt8(at) & 7;
      const isBitmap = index % (chunkRatio + 1) === chunkRatio;
      if (isBitmap || state !== BLOCK_PRESENT) continue;
      const block = index - Math.floor(index / (chunkRatio + 1));
      // The upper 44 bits count MiB.
      const offsetBytes = Number(batch.readBigUInt64LE(at) >> 20n) * MIB;
      const lengthBytes = Math.min(blockBytes, bytes - block * blockBytes);
      reader.expect({ offsetBytes, lengthBytes, what: 'a block' });
    }
  }
}

function* entriesOf(reader: SliceReader, list: { table: Buffer; count: number; start: number }) {
  const { table, count, start } = list;
  if (count > MAX_ENTRIES || start + count * ENTRY_BYTES > table.length) {
    throw damaged(reader, `one of its tables claims ${count} entries`);
  }
  for (let index = 0; index < count; index += 1) {
    yield table.subarray(start + index * ENTRY_BYTES, start + (index + 1) * ENTRY_BYTES);
  }
}

/** The checksum at byte 4 is a CRC-32C over the whole with itself as zero. */
function isSealed(bytes: Buffer): boolean {
  const copy = Buffer.from(bytes);
  copy.writeUInt32LE(0, 4);
  return crc32c(copy) === bytes.readUInt32LE(4);
}

function checkBlockSize(reader: SliceReader, blockBytes: number): number {
  const isPowerOfTwo = blockBytes > 0 && Number.isInteger(Math.log2(blockBytes));
  if (isPowerOfTwo && blockBytes >= MIB && blockBytes <= 256 * MIB) return blockBytes;
  throw damaged(reader, `its blocks of ${blockBytes} bytes make no sense`);
}

/** A guest's partition table counts in its disk's sectors, and the clouds' disks have sectors of 512 bytes. */
function refuseLargeSectors(label: string, sectorBytes: number): void {
  if (sectorBytes === SECTOR_BYTES) return;
  throw unreadableImage({
    label,
    found: `its disk has sectors of ${sectorBytes} bytes, and the target's have 512: the guest would not find its partitions`,
    remedy: 'Copy the guest onto a disk with 512-byte sectors (or 512e) first.',
    context: { sectorBytes },
  });
}

/** The first three fields of a GUID are little-endian. */
function readGuid(bytes: Buffer, at: number): string {
  const hex = (from: number, to: number) => bytes.toString('hex', at + from, at + to);
  const first = bytes.readUInt32LE(at).toString(16).padStart(8, '0');
  const [second, third] = [4, 6].map((from) =>
    bytes
      .readUInt16LE(at + from)
      .toString(16)
      .padStart(4, '0'),
  );
  return `${first}-${second}-${third}-${hex(8, 10)}-${hex(10, 16)}`;
}

function differencing(label: string) {
  return hostileImage({
    label,
    found:
      'it is a differencing VHDX (a checkpoint): it builds on a parent, so reading it would read another file of this host',
    remedy: 'Delete the checkpoints of the machine or merge the disk (`Merge-VHD`), then migrate the result.',
  });
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
