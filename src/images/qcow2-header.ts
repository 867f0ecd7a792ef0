/** The qcow2 part of the header guard. Layout: qemu, docs/interop/qcow2.txt. Numbers are big-endian. */
import { asOffset, checkDiskBytes } from './disk-size.ts';
import type { ImageHeader } from './image-header.ts';
import { COPY_AGAIN, corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import type { SliceReader } from './slice-reader.ts';

const V2_HEADER_BYTES = 72;
const V3_HEADER_BYTES = 104;
/** qemu's own limits: it opens no image beyond them. */
const MAX_L1_BYTES = 32 * 2 ** 20;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 2 ** 20;
const MAX_SNAPSHOTS = 65_536;

const INCOMPATIBLE = { dirty: 1n << 0n, corrupt: 1n << 1n, dataFile: 1n << 2n, compression: 1n << 3n };
const KNOWN_INCOMPATIBLE =
  INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt | INCOMPATIBLE.dataFile | INCOMPATIBLE.compression;

const EXTENSION = { end: 0, dataFile: 0x44415441, encryption: 0x0537be77 };

/** Bits 9 to 55 of L1 and refcount table entries hold a file offset. */
const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;

type Qcow2 = {
  reader: SliceReader;
  header: Buffer;
  headerBytes: number;
  version: number;
  clusterBytes: number;
  incompatible: bigint;
};

export async function inspectQcow2(reader: SliceReader): Promise<ImageHeader> {
  const image = await readHeader(reader);
  refuseForeignData(image);
  refuseFeatures(image);
  await refuseExtensions(image);
  const bytes = checkDiskBytes({ label: reader.label, bytes: image.header.readBigUInt64BE(0x18) });
  await checkL1(image, bytes);
  await checkRefcounts(image);
  checkSnapshots(image);
  return { format: 'qcow2', bytes, subformat: null };
}

async function readHeader(reader: SliceReader): Promise<Qcow2> {
  const { label } = reader;
  const start = await reader.read({ offsetBytes: 0, lengthBytes: V2_HEADER_BYTES, what: 'its header' });
  const version = start.readUInt32BE(4);
  if (version !== 2 && version !== 3) {
    throw unreadableImage({
      label,
      found: `it is qcow version ${version}, and only 2 and 3 are taken`,
      remedy: 'Convert it: `qemu-img convert -O qcow2 IN OUT.qcow2`.',
    });
  }
  const clusterBits = start.readUInt32BE(0x14);
  if (clusterBits < 9 || clusterBits > 21) {
    throw damaged(reader, `its cluster size is 2^${clusterBits}, outside of 2^9 to 2^21`);
  }
  const clusterBytes = 2 ** clusterBits;
  if (version === 2) {
    return { reader, header: start, headerBytes: V2_HEADER_BYTES, version, clusterBytes, incompatible: 0n };
  }
  const header = await reader.read({ offsetBytes: 0, lengthBytes: V3_HEADER_BYTES, what: 'its header' });
  const headerBytes = header.readUInt32BE(0x64);
  if (headerBytes < V3_HEADER_BYTES || headerBytes > clusterBytes || headerBytes % 8 !== 0) {
    throw damaged(reader, `its header claims a length of ${headerBytes} bytes`);
  }
  return { reader, header, headerBytes, version, clusterBytes, incompatible: header.readBigUInt64BE(0x48) };
}

function refuseForeignData({ reader, header, incompatible }: Qcow2): void {
  const { label } = reader;
  if (header.readBigUInt64BE(0x08) !== 0n || header.readUInt32BE(0x10) !== 0) {
    throw hostileImage({
      label,
      found: 'it names a backing file, so reading it would read another file of this host',
      remedy: `Where you trust that file, flatten the image with \`qemu-img convert -O qcow2 ${label} FLAT.qcow2\` and migrate the result.`,
    });
  }
  if ((incompatible & INCOMPATIBLE.dataFile) !== 0n) throw dataFile(label);
}

function refuseFeatures({ reader, header, incompatible }: Qcow2): void {
  const { label } = reader;
  if ((incompatible & ~KNOWN_INCOMPATIBLE) !== 0n) {
    throw hostileImage({
      label,
      found: `it needs features that Landfall does not know (incompatible feature bits 0x${incompatible.toString(16)})`,
      remedy: `Rewrite it plainly: \`qemu-img convert -O qcow2 ${label} PLAIN.qcow2\`.`,
      context: { incompatibleFeatures: incompatible.toString(16) },
    });
  }
  if ((incompatible & INCOMPATIBLE.corrupt) !== 0n) {
    throw corruptImage({
      label,
      found: 'qemu marked it as corrupt',
      remedy: `Repair a copy with \`qemu-img check -r all\`, check the guest's data, and migrate that.`,
    });
  }
  if (header.readUInt32BE(0x20) !== 0) throw encrypted(label);
}

async function refuseExtensions(image: Qcow2): Promise<void> {
  const { reader, headerBytes, clusterBytes } = image;
  const lengthBytes = Math.min(clusterBytes, reader.lengthBytes);
  const cluster = await reader.read({ offsetBytes: 0, lengthBytes, what: 'its header cluster' });
  for (let at = headerBytes; at + 8 <= cluster.length; ) {
    const type = cluster.readUInt32BE(at);
    const extensionBytes = cluster.readUInt32BE(at + 4);
    if (type === EXTENSION.end) return;
    if (type === EXTENSION.dataFile) throw dataFile(reader.label);
    if (type === EXTENSION.encryption) throw encrypted(reader.label);
    at += 8 + Math.ceil(extensionBytes / 8) * 8;
    if (at > cluster.length) throw damaged(reader, 'a header extension reaches beyond the header cluster');
  }
}

/** The L1 table covers the disk, and it and every L2 table lie within the file. */
async function checkL1({ reader, header, clusterBytes }: Qcow2, diskBytes: number): Promise<void> {
  const entries = header.readUInt32BE(0x24);
  const offsetBytes = asOffset(header.readBigUInt64BE(0x28), { label: reader.label, what: 'its L1 offset' });
  const neededEntries = Math.ceil(diskBytes / (clusterBytes * (clusterBytes / 8)));
  if (entries < neededEntries || entries * 8 > MAX_L1_BYTES || offsetBytes % clusterBytes !== 0) {
    throw damaged(
      reader,
      `its L1 table (${entries} entries at byte ${offsetBytes}) does not fit its disk of ${diskBytes} bytes`,
    );
  }
  const table = { offsetBytes, lengthBytes: entries * 8, what: 'its L1 table' };
  for await (const batch of reader.readInBatches(table)) {
    for (let at = 0; at < batch.length; at += 8) {
      const l2 = Number(batch.readBigUInt64BE(at) & OFFSET_MASK);
      if (l2 !== 0) reader.expect({ offsetBytes: l2, lengthBytes: clusterBytes, what: 'an L2 table' });
    }
  }
}

/**
 * The last cluster that refcounts call used must begin within the file: that finds an image cut off in its data
 * without reading its L2 tables (2 GiB of them on a 16 TiB disk). Refcounts of a dirty image lag, so they say nothing.
 */
async function checkRefcounts(image: Qcow2): Promise<void> {
  const { reader, header, clusterBytes, incompatible } = image;
  const what = 'its refcount table';
  const offsetBytes = asOffset(header.readBigUInt64BE(0x30), { label: reader.label, what });
  const lengthBytes = header.readUInt32BE(0x38) * clusterBytes;
  if (lengthBytes === 0 || lengthBytes > MAX_REFCOUNT_TABLE_BYTES || offsetBytes % clusterBytes !== 0) {
    throw damaged(reader, `${what} (${lengthBytes} bytes at byte ${offsetBytes}) makes no sense`);
  }
  const table = await reader.read({ offsetBytes, lengthBytes, what });
  let lastUsed: { index: number; offsetBytes: number } | null = null;
  for (let index = 0; index < table.length / 8; index += 1) {
    const block = Number(table.readBigUInt64BE(index * 8) & OFFSET_MASK);
    if (block === 0) continue;
    reader.expect({ offsetBytes: block, lengthBytes: clusterBytes, what: 'a refcount block' });
    lastUsed = { index, offsetBytes: block };
  }
  if (lastUsed === null || (incompatible & INCOMPATIBLE.dirty) !== 0n) return;
  await checkLastBlock({ ...image, block: lastUsed });
}

async function checkLastBlock(
  image: Qcow2 & { block: { index: number; offsetBytes: number } },
): Promise<void> {
  const { reader, header, clusterBytes, version, block } = image;
  // Version 2 knows 16-bit refcounts only.
  const order = version === 2 ? 4 : header.readUInt32BE(0x60);
  if (order > 6) throw damaged(reader, `its refcounts are 2^${order} bits wide, and 64 is the most`);
  const counts = await reader.read({
    offsetBytes: block.offsetBytes,
    lengthBytes: clusterBytes,
    what: 'a refcount block',
  });
  const last = counts.findLastIndex((byte) => byte !== 0);
  if (last === -1) return;
  const bits = 2 ** order;
  const countsPerBlock = (clusterBytes * 8) / bits;
  const cluster = block.index * countsPerBlock + Math.floor((last * 8) / bits);
  reader.expect({ offsetBytes: cluster * clusterBytes, lengthBytes: 1, what: 'its last cluster in use' });
}

function checkSnapshots({ reader, header }: Qcow2): void {
  const count = header.readUInt32BE(0x3c);
  if (count === 0) return;
  if (count > MAX_SNAPSHOTS) throw damaged(reader, `it claims ${count} snapshots`);
  const offsetBytes = asOffset(header.readBigUInt64BE(0x40), {
    label: reader.label,
    what: 'its snapshot table',
  });
  // 40 bytes is the shortest entry.
  reader.expect({ offsetBytes, lengthBytes: count * 40, what: 'its snapshot table' });
}

function dataFile(label: string) {
  return hostileImage({
    label,
    found: 'it keeps its data in an external data file, so reading it would read another file of this host',
    remedy: `Where you trust that file, bring both together with \`qemu-img convert -O qcow2 ${label} WHOLE.qcow2\`.`,
  });
}

function encrypted(label: string) {
  return unreadableImage({
    label,
    found: 'it is encrypted',
    remedy: 'Decrypt it with `qemu-img convert` and its key, and migrate the result.',
  });
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
