/**
 * What VM Import asks of a VMDK: stream-optimised, whole to its last grain, and, where its grain directory is at the
 * end, with a footer that agrees with the header and an end-of-stream marker.
 * VMware, "Virtual Disk Format 5.0", "Stream-Optimized Compressed Sparse Extents".
 */
import type { FileWindow } from './file-window.ts';
import { unsupportedFormat } from './import-failure.ts';

const SECTOR = 512;
const MAGIC = 0x564d444b;
/** Grains are compressed; grains have markers. */
const STREAM_FLAGS = 0x30000;
const DEFLATE = 1;
const AT_END = 2n ** 64n - 1n;
const FOOTER_MARKER = 3;
const GRAIN_MARKER_BYTES = 12;
const MAX_DESCRIPTOR_BYTES = 1024 * 1024;
/** Entries 0 (unallocated) and 1 (zeros) name no grain. */
const FIRST_GRAIN_ENTRY = 2;

type SparseHeader = {
  version: number;
  flags: number;
  capacity: bigint;
  grainSectors: bigint;
  descriptorOffset: bigint;
  descriptorSize: bigint;
  tableEntries: number;
  directory: bigint;
  algorithm: number;
};

/** Throws ImportFailure. */
export async function checkVmdk(file: FileWindow): Promise<void> {
  const header = readHeader(await file.read(0, SECTOR));
  if (header === null || !isStreamOptimized(header)) throw unsupported();
  if (!(await readDescriptor(file, header)).includes('createType="streamOptimized"')) throw unsupported();
  const directory = header.directory === AT_END ? await readFooter(file, header) : header.directory;
  await checkGrains(file, { ...header, directory });
}

function readHeader(bytes: Buffer | null): SparseHeader | null {
  if (bytes === null || bytes.readUInt32LE(0) !== MAGIC) return null;
  return {
    version: bytes.readUInt32LE(4),
    flags: bytes.readUInt32LE(8),
    capacity: bytes.readBigUInt64LE(12),
    grainSectors: bytes.readBigUInt64LE(20),
    descriptorOffset: bytes.readBigUInt64LE(28),
    descriptorSize: bytes.readBigUInt64LE(36),
    tableEntries: bytes.readUInt32LE(44),
    directory: bytes.readBigUInt64LE(56),
    algorithm: bytes.readUInt16LE(77),
  };
}

function isStreamOptimized({
  version,
  flags,
  algorithm,
  grainSectors,
  tableEntries,
  capacity,
}: SparseHeader) {
  const isLaidOut = version >= 1 && version <= 3 && grainSectors === 128n && tableEntries === 512;
  return isLaidOut && capacity > 0n && (flags & STREAM_FLAGS) === STREAM_FLAGS && algorithm === DEFLATE;
}

async function readDescriptor(file: FileWindow, header: SparseHeader): Promise<string> {
  const length = Number(header.descriptorSize) * SECTOR;
  if (length === 0 || length > MAX_DESCRIPTOR_BYTES) throw unsupported();
  const bytes = await file.read(Number(header.descriptorOffset) * SECTOR, length);
  if (bytes === null) throw unsupported();
  return bytes.toString('latin1');
}

/** The last three sectors: a marker, the footer, the end of the stream. A file that was cut off has other bytes there. */
async function readFooter(file: FileWindow, header: SparseHeader): Promise<bigint> {
  const tail = await file.read(file.bytes - 3 * SECTOR, 3 * SECTOR);
  if (tail === null || file.bytes % SECTOR !== 0) throw unsupported();
  const footer = readHeader(tail.subarray(SECTOR, 2 * SECTOR));
  const isMarked = tail.readBigUInt64LE(0) === 1n && tail.readUInt32LE(12) === FOOTER_MARKER;
  const isEnded = tail.subarray(2 * SECTOR).every((byte) => byte === 0);
  const agrees =
    footer !== null &&
    footer.directory !== AT_END &&
    footer.capacity === header.capacity &&
    footer.grainSectors === header.grainSectors &&
    footer.tableEntries === header.tableEntries;
  if (!isMarked || !isEnded || !agrees) throw unsupported();
  return footer.directory;
}

/** Each table and each grain lies within the file, the last one to its end. */
async function checkGrains(file: FileWindow, header: SparseHeader): Promise<void> {
  const grains = (header.capacity + header.grainSectors - 1n) / header.grainSectors;
  const tables = Number((grains + BigInt(header.tableEntries) - 1n) / BigInt(header.tableEntries));
  const directory = await file.read(Number(header.directory) * SECTOR, tables * 4);
  if (directory === null) throw unsupported();
  let last = 0;
  for (let index = 0; index < tables; index++) {
    const entry = directory.readUInt32LE(index * 4);
    if (entry === 0) continue;
    const table = await file.read(entry * SECTOR, header.tableEntries * 4);
    if (table === null) throw unsupported();
    last = Math.max(last, lastGrain(table));
  }
  if (last >= FIRST_GRAIN_ENTRY) await checkGrain(file, { header, offset: last * SECTOR });
}

function lastGrain(table: Buffer): number {
  let last = 0;
  for (let offset = 0; offset < table.length; offset += 4) last = Math.max(last, table.readUInt32LE(offset));
  return last;
}

async function checkGrain(
  file: FileWindow,
  { header, offset }: { header: SparseHeader; offset: number },
): Promise<void> {
  const marker = await file.read(offset, GRAIN_MARKER_BYTES);
  if (marker === null || marker.readBigUInt64LE(0) >= header.capacity) throw unsupported();
  if (offset + GRAIN_MARKER_BYTES + marker.readUInt32LE(8) > file.bytes) throw unsupported();
}

function unsupported() {
  return unsupportedFormat('VMDK');
}
