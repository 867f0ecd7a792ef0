/**
 * What VM Import asks of a VHD: fixed or dynamic, with a sound footer, the same at both ends of a dynamic one.
 * Microsoft, "Virtual Hard Disk Image Format Specification", 1.0.
 */
import type { FileWindow } from './file-window.ts';
import { ImportFailure, unsupportedFormat } from './import-failure.ts';

const FOOTER_BYTES = 512;
const DYNAMIC_HEADER_BYTES = 1024;
const FIXED = 2;
const DYNAMIC = 3;
const UNUSED_BLOCK = 0xffffffff;
const SECTOR = 512;
/** 2 MiB blocks of a 2 TiB disk, the format's end: a table of 4 MiB. */
const MAX_TABLE_ENTRIES = 2 ** 20;

/** Throws ImportFailure. */
export async function checkVhd(file: FileWindow): Promise<void> {
  const head = await file.read(0, FOOTER_BYTES);
  const footer = await file.read(file.bytes - FOOTER_BYTES, FOOTER_BYTES);
  if (head === null || footer === null) throw unsupportedFormat('VHD');
  if (!isFooter(footer)) throw isFooter(head) ? footersDiffer() : unsupportedFormat('VHD');
  if (!isSound(footer, CHECKSUM_AT.footer)) throw footersDiffer();
  const diskType = footer.readUInt32BE(60);
  switch (diskType) {
    case FIXED:
      if (Number(footer.readBigUInt64BE(48)) !== file.bytes - FOOTER_BYTES) throw unsupportedFormat('VHD');
      return;
    case DYNAMIC:
      if (!head.equals(footer)) throw footersDiffer();
      return await checkDynamic(file, Number(footer.readBigUInt64BE(16)));
    default:
      // A differencing disk: its parent is elsewhere.
      throw footersDiffer();
  }
}

const CHECKSUM_AT = { footer: 64, header: 36 } as const;

async function checkDynamic(file: FileWindow, offset: number): Promise<void> {
  const header = await file.read(offset, DYNAMIC_HEADER_BYTES);
  if (header === null || header.toString('latin1', 0, 8) !== 'cxsparse') throw unsupportedFormat('VHD');
  if (!isSound(header, CHECKSUM_AT.header)) throw unsupportedFormat('VHD');
  const entries = header.readUInt32BE(28);
  const blockBytes = header.readUInt32BE(32);
  if (entries > MAX_TABLE_ENTRIES || blockBytes % SECTOR !== 0) throw unsupportedFormat('VHD');
  const table = await file.read(Number(header.readBigUInt64BE(16)), entries * 4);
  if (table === null) throw unsupportedFormat('VHD');
  const bitmapBytes = Math.ceil(blockBytes / SECTOR / 8 / SECTOR) * SECTOR;
  for (let index = 0; index < entries; index++) {
    const sector = table.readUInt32BE(index * 4);
    if (sector === UNUSED_BLOCK) continue;
    if (sector * SECTOR + bitmapBytes + blockBytes > file.bytes) throw unsupportedFormat('VHD');
  }
}

function isFooter(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 8) === 'conectix';
}

/** One's complement of the sum of all bytes, the checksum's own left out. */
function isSound(bytes: Buffer, checksumAt: number): boolean {
  let sum = 0;
  for (const [index, byte] of bytes.entries()) {
    if (index < checksumAt || index >= checksumAt + 4) sum += byte;
  }
  return bytes.readUInt32BE(checksumAt) === ~sum >>> 0;
}

function footersDiffer(): ImportFailure {
  return new ImportFailure('ClientError: Footers not identical');
}
