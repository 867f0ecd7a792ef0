/** The VMDK part of the header guard: sparse extents in one file. Layout: VMware, "Virtual Disk Format 5.0". */
import { checkDiskBytes, SECTOR_BYTES } from './disk-size.ts';
import type { ImageHeader } from './image-header.ts';
import { COPY_AGAIN, corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import type { SliceReader } from './slice-reader.ts';
import { MAX_DESCRIPTOR_BYTES, parseVmdkDescriptor } from './vmdk-descriptor.ts';
import { checkGrainTables } from './vmdk-grains.ts';
import { parseSparseHeader, type SparseHeader } from './vmdk-sparse-header.ts';

const MARKER = { endOfStream: 0, footer: 3 };
/** 1 MiB; VMware and qemu write grains of 64 KiB. */
const MAX_GRAIN_SECTORS = 2048;
/** qemu's limit, and what all writers use. */
const MAX_ENTRIES_PER_TABLE = 512;
/** qemu looks for a parent in these sectors, whatever the header says of the descriptor's place. */
const QEMU_DESCRIPTOR = { offsetBytes: SECTOR_BYTES, lengthBytes: 20 * SECTOR_BYTES };

export async function inspectVmdk(reader: SliceReader): Promise<ImageHeader> {
  const header = await readSparseHeader(reader);
  const subformat = await checkEmbeddedDescriptor(reader, header);
  const bytes = await checkSparse(reader, header);
  return { format: 'vmdk', bytes, subformat };
}

/** A sparse extent that a descriptor beside it lists; it needs none of its own. */
export async function inspectSparseExtent(reader: SliceReader): Promise<{ bytes: number }> {
  return { bytes: await checkSparse(reader, await readSparseHeader(reader)) };
}

async function readSparseHeader(reader: SliceReader): Promise<SparseHeader> {
  const bytes = await reader.read({ offsetBytes: 0, lengthBytes: SECTOR_BYTES, what: 'its header' });
  if (bytes.toString('latin1', 0, 4) !== 'KDMV') throw damaged(reader, 'it is no sparse VMDK extent');
  return parseSparseHeader(bytes, reader.label);
}

async function checkEmbeddedDescriptor(
  reader: SliceReader,
  header: SparseHeader,
): Promise<'monolithicSparse' | 'streamOptimized'> {
  const { label } = reader;
  if (header.descriptorSector === 0) {
    throw unreadableImage({
      label,
      found: 'it has no descriptor of its own: it is one extent of a split disk',
      remedy: 'Name the descriptor (the small .vmdk text file) that lists it.',
    });
  }
  const lengthBytes = header.descriptorSectors * SECTOR_BYTES;
  if (header.descriptorSector !== 1 || lengthBytes === 0 || lengthBytes >= MAX_DESCRIPTOR_BYTES) {
    throw hostileImage({
      label,
      found: `its descriptor has ${lengthBytes} bytes in sector ${header.descriptorSector}, and only one in sector 1 below 1 MiB is believed`,
      remedy: 'Export the disk again with a current tool.',
    });
  }
  await refuseHiddenParent(reader);
  const bytes = await reader.read({ offsetBytes: SECTOR_BYTES, lengthBytes, what: 'its descriptor' });
  const { createType, extents } = parseVmdkDescriptor({ bytes, label });
  if (createType !== 'monolithicSparse' && createType !== 'streamOptimized') {
    throw hostileImage({
      label,
      found: `its createType is ${JSON.stringify(createType)}, and a single file may only be monolithicSparse or streamOptimized`,
      remedy: 'Export the disk again as a stream-optimised VMDK.',
      context: { createType },
    });
  }
  if (extents.length !== 1 || extents[0]?.type !== 'SPARSE') {
    throw hostileImage({
      label,
      found: 'its descriptor lists other extents than the file itself',
      remedy: 'Export the disk again as a stream-optimised VMDK.',
    });
  }
  return createType;
}

async function refuseHiddenParent(reader: SliceReader): Promise<void> {
  const { offsetBytes } = QEMU_DESCRIPTOR;
  const lengthBytes = Math.min(QEMU_DESCRIPTOR.lengthBytes, reader.lengthBytes - offsetBytes);
  const text = await reader.read({ offsetBytes, lengthBytes, what: 'its descriptor' });
  if (!text.includes('parentFileNameHint')) return;
  throw hostileImage({
    label: reader.label,
    found: 'it names a parent disk, so reading it would read another file of this host',
    remedy: 'Consolidate the snapshots of the machine (or clone it whole), then migrate the result.',
  });
}

async function checkSparse(reader: SliceReader, header: SparseHeader): Promise<number> {
  const bytes = checkDiskBytes({
    label: reader.label,
    bytes: BigInt(header.capacitySectors) * BigInt(SECTOR_BYTES),
  });
  checkGeometry(reader, header);
  const trusted = header.directorySector === null ? await readFooter(reader, header) : header;
  await checkGrainTables(reader, { ...trusted, directorySector: trusted.directorySector ?? 0 });
  return bytes;
}

function checkGeometry(reader: SliceReader, header: SparseHeader): void {
  const { version, grainSectors, entriesPerTable, isCompressed, hasMarkers } = header;
  if (version < 1 || version > 3) {
    throw unreadableImage({
      label: reader.label,
      found: `it is a VMDK of version ${version}, and only 1 to 3 are taken`,
      remedy: 'Export the disk again as a stream-optimised VMDK.',
    });
  }
  const isPowerOfTwo = grainSectors > 0 && (grainSectors & (grainSectors - 1)) === 0;
  if (!isPowerOfTwo || grainSectors > MAX_GRAIN_SECTORS) {
    throw damaged(reader, `its grains of ${grainSectors} sectors make no sense`);
  }
  if (isCompressed && !hasMarkers) throw damaged(reader, 'its grains are compressed, but have no markers');
  if (entriesPerTable < 1 || entriesPerTable > MAX_ENTRIES_PER_TABLE) {
    throw damaged(reader, `its grain tables of ${entriesPerTable} entries make no sense`);
  }
}

/**
 * A stream is written front to back, so its directory comes last: footer marker, footer, end-of-stream marker, one
 * sector each. qemu believes the footer, others the header: they must say the same.
 */
async function readFooter(reader: SliceReader, header: SparseHeader): Promise<SparseHeader> {
  const offsetBytes = reader.lengthBytes - 3 * SECTOR_BYTES;
  if (reader.lengthBytes % SECTOR_BYTES !== 0 || offsetBytes < SECTOR_BYTES) throw noEndOfStream(reader);
  const tail = await reader.read({ offsetBytes, lengthBytes: 3 * SECTOR_BYTES, what: 'its footer' });
  const isFooter = tail.readUInt32LE(8) === 0 && tail.readUInt32LE(12) === MARKER.footer;
  const isMagic = tail.toString('latin1', SECTOR_BYTES, SECTOR_BYTES + 4) === 'KDMV';
  const end = tail.subarray(2 * SECTOR_BYTES);
  const isEnd =
    end.readBigUInt64LE(0) === 0n && end.readUInt32LE(8) === 0 && end.readUInt32LE(12) === MARKER.endOfStream;
  if (!isFooter || !isMagic || !isEnd) throw noEndOfStream(reader);
  const footer = parseSparseHeader(tail.subarray(SECTOR_BYTES, 2 * SECTOR_BYTES), reader.label);
  for (const key of AGREEING) {
    if (footer[key] === header[key]) continue;
    throw hostileImage({
      label: reader.label,
      found: `its header and its footer disagree on ${key} (${header[key]} and ${footer[key]})`,
      remedy: 'Export the disk again from its source.',
      context: { field: key },
    });
  }
  if (footer.directorySector === null) throw damaged(reader, 'its footer names no grain directory');
  return footer;
}

const AGREEING = [
  'version',
  'capacitySectors',
  'grainSectors',
  'entriesPerTable',
  'descriptorSector',
  'descriptorSectors',
  'isCompressed',
] as const satisfies readonly (keyof SparseHeader)[];

function noEndOfStream(reader: SliceReader) {
  return damaged(
    reader,
    'it is cut off: a stream-optimised VMDK ends with a footer and an end-of-stream marker, and this one does not',
  );
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
