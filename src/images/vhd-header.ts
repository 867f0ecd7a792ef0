/** The VHD part of the header guard. Layout: Microsoft, "Virtual Hard Disk Image Format Specification". Big-endian. */
import { asOffset, checkDiskBytes, SECTOR_BYTES } from './disk-size.ts';
import type { ImageHeader } from './image-header.ts';
import { COPY_AGAIN, corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import type { SliceReader } from './slice-reader.ts';

type Footer = {
  type: number;
  diskBytes: number;
  headerOffset: bigint;
  uuid: string;
};

const FOOTER_BYTES = 512;
const DYNAMIC_HEADER_BYTES = 1024;
const TYPE = { fixed: 2, dynamic: 3, differencing: 4 };
const UNUSED_BLOCK = 0xffff_ffff;
/** 2 MiB is usual; the bound keeps the arithmetic and qemu's buffers sane. */
const MAX_BLOCK_BYTES = 256 * 2 ** 20;
/** Tables are made a little longer than their disk needs; one that is far longer only costs time to read. */
const MAX_SPARE_ENTRIES = 1024;

export async function inspectVhd(reader: SliceReader): Promise<ImageHeader> {
  const footer = await readFooter(reader);
  switch (footer.type) {
    case TYPE.fixed:
      await refuseSecondFooter(reader);
      reader.expect({ offsetBytes: 0, lengthBytes: footer.diskBytes + FOOTER_BYTES, what: 'its disk' });
      return { format: 'vhd', bytes: footer.diskBytes, subformat: 'fixed' };
    case TYPE.dynamic:
      await checkHeadFooter(reader, footer);
      await checkBlocks(reader, footer);
      return { format: 'vhd', bytes: footer.diskBytes, subformat: 'dynamic' };
    case TYPE.differencing:
      throw differencing(reader.label);
    default:
      throw unreadableImage({
        label: reader.label,
        found: `it is a VHD of type ${footer.type}, and only fixed (2) and dynamic (3) are taken`,
        remedy: 'Convert it to a fixed VHD with Hyper-V Manager or `Convert-VHD`.',
      });
  }
}

async function readFooter(reader: SliceReader): Promise<Footer> {
  const offsetBytes = Math.max(0, reader.lengthBytes - FOOTER_BYTES);
  const what = 'its footer';
  const bytes = await reader.read({ offsetBytes, lengthBytes: FOOTER_BYTES, what });
  if (bytes.toString('latin1', 0, 8) !== 'conectix') {
    throw damaged(reader, 'it begins as a VHD but does not end with a VHD footer: it is cut off');
  }
  return parseFooter(reader, { bytes, what });
}

/** The first sector of a fixed VHD is the guest's to write, and qemu would believe a footer there. */
async function refuseSecondFooter(reader: SliceReader): Promise<void> {
  const head = await reader.read({ offsetBytes: 0, lengthBytes: 8, what: 'its disk' });
  if (head.toString('latin1') !== 'conectix') return;
  throw hostileImage({
    label: reader.label,
    found: 'it is a fixed VHD whose first sector poses as the footer of another',
    remedy:
      'If the guest really wrote that, take the disk as raw: `format: raw` on a copy without the last 512 bytes.',
  });
}

/** A dynamic VHD begins with a copy of its footer, and that is the one qemu believes. */
async function checkHeadFooter(reader: SliceReader, footer: Footer): Promise<void> {
  const what = 'the copy of its footer at its head';
  const bytes = await reader.read({ offsetBytes: 0, lengthBytes: FOOTER_BYTES, what });
  if (bytes.toString('latin1', 0, 8) !== 'conectix') throw damaged(reader, `${what} is gone`);
  const copy = parseFooter(reader, { bytes, what });
  if (copy.type === TYPE.differencing) throw differencing(reader.label);
  if (copy.type === footer.type && copy.diskBytes === footer.diskBytes && copy.uuid === footer.uuid) {
    if (copy.headerOffset === footer.headerOffset) return;
  }
  throw hostileImage({
    label: reader.label,
    found: 'its footer and the copy at its head disagree',
    remedy: 'Export the disk again from its source.',
  });
}

async function checkBlocks(reader: SliceReader, footer: Footer): Promise<void> {
  const { label } = reader;
  const offsetBytes = asOffset(footer.headerOffset, { label, what: 'its header offset' });
  const header = await reader.read({ offsetBytes, lengthBytes: DYNAMIC_HEADER_BYTES, what: 'its header' });
  if (header.toString('latin1', 0, 8) !== 'cxsparse') throw damaged(reader, 'its dynamic header is gone');
  checkSum(reader, { bytes: header, at: 36, what: 'its dynamic header' });
  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  const isPowerOfTwo = blockBytes >= SECTOR_BYTES && Number.isInteger(Math.log2(blockBytes));
  if (!isPowerOfTwo || blockBytes > MAX_BLOCK_BYTES || entries * blockBytes < footer.diskBytes) {
    throw damaged(
      reader,
      `its ${entries} blocks of ${blockBytes} bytes do not hold a disk of ${footer.diskBytes} bytes`,
    );
  }
  const neededEntries = Math.ceil(footer.diskBytes / blockBytes);
  if (entries > neededEntries + MAX_SPARE_ENTRIES) {
    throw damaged(reader, `its block table has ${entries} entries where its disk needs ${neededEntries}`);
  }
  const bitmapBytes = Math.ceil(blockBytes / SECTOR_BYTES / 8 / SECTOR_BYTES) * SECTOR_BYTES;
  const table = {
    offsetBytes: asOffset(header.readBigUInt64BE(16), { label, what: 'its block table offset' }),
    lengthBytes: entries * 4,
    what: 'its block table',
  };
  let lastSector = -1;
  for await (const batch of reader.readInBatches(table)) {
    for (let at = 0; at < batch.length; at += 4) {
      const sector = batch.readUInt32BE(at);
      if (sector !== UNUSED_BLOCK && sector > lastSector) lastSector = sector;
    }
  }
  if (lastSector === -1) return;
  reader.expect({
    offsetBytes: lastSector * SECTOR_BYTES,
    lengthBytes: bitmapBytes + blockBytes,
    what: 'its last block',
  });
}

function parseFooter(reader: SliceReader, { bytes, what }: { bytes: Buffer; what: string }): Footer {
  checkSum(reader, { bytes, at: 64, what });
  const version = bytes.readUInt32BE(12);
  if (version >>> 16 !== 1) {
    throw unreadableImage({
      label: reader.label,
      found: `it is a VHD of version ${version >>> 16}`,
      remedy: 'Convert it with a current Hyper-V.',
    });
  }
  return {
    type: bytes.readUInt32BE(60),
    // The current size, never the geometry: CHS ends at 127 GiB and rounds the size down.
    diskBytes: checkDiskBytes({ label: reader.label, bytes: bytes.readBigUInt64BE(48) }),
    headerOffset: bytes.readBigUInt64BE(16),
    uuid: bytes.toString('hex', 68, 84),
  };
}

/** One's complement of the sum of all bytes, the checksum itself left out. */
function checkSum(reader: SliceReader, { bytes, at, what }: { bytes: Buffer; at: number; what: string }) {
  let sum = 0;
  for (const [index, byte] of bytes.entries()) if (index < at || index >= at + 4) sum += byte;
  const expected = bytes.readUInt32BE(at);
  const actual = ~sum >>> 0;
  if (actual === expected) return;
  throw damaged(
    reader,
    `the checksum of ${what} is wrong (0x${expected.toString(16)}, and its bytes sum to 0x${actual.toString(16)})`,
  );
}

function differencing(label: string) {
  return hostileImage({
    label,
    found:
      'it is a differencing VHD: it builds on a parent, so reading it would read another file of this host',
    remedy: 'Merge it into its parent (Hyper-V Manager, "Edit Disk", or `Merge-VHD`) and migrate the result.',
  });
}

function damaged({ label }: SliceReader, found: string) {
  return corruptImage({ label, found, remedy: COPY_AGAIN });
}
