/**
 * The header guard reads an image's own bytes before any qemu tool sees them, and refuses what would make such a tool
 * read other files of the host (backing files, data files, foreign extents), what claims absurd sizes, and what is
 * not whole. Formats are told by their magic, never by the file's name.
 * Rules after OpenStack's format inspector: CVE-2015-1851, CVE-2022-47951, CVE-2024-4467, CVE-2024-32498, CVE-2026-24708.
 */
import { extname } from 'node:path';
import type { FileSlice, QemuFormat } from '../domain/image.ts';
import { checkDiskBytes, SECTOR_BYTES } from './disk-size.ts';
import { foreignFormat } from './foreign-format.ts';
import type { ImageHeader } from './image-header.ts';
import { inspectQcow2 } from './qcow2-header.ts';
import { corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import { openSlice, type SliceReader } from './slice-reader.ts';
import { inspectVhd } from './vhd-header.ts';
import { inspectVhdx } from './vhdx-header.ts';
import { isVmdkDescriptor } from './vmdk-descriptor.ts';
import { inspectVmdk } from './vmdk-header.ts';

export type { ImageHeader } from './image-header.ts';

export type InspectOptions = {
  /** What messages call the image; by default its path. Name a member `archive.ova!member`. */
  label?: string | undefined;
  /**
   * What the caller knows it to be. `raw` takes the bytes as they are, whatever they look like; any other format must
   * agree with the magic.
   */
  format?: QemuFormat | undefined;
  signal?: AbortSignal | undefined;
};

/** Covers every magic at the start; tar's, the farthest, ends at byte 262. */
const HEAD_BYTES = 512;
const VHD_FOOTER_BYTES = 512;

/** Throws `image-missing`, `image-unreadable`, `image-corrupt` or `image-hostile`. Spawns nothing. */
export async function inspectHeader(slice: FileSlice, options: InspectOptions = {}): Promise<ImageHeader> {
  const label = options.label ?? slice.path;
  await using reader = await openSlice({ slice, label, signal: options.signal });
  if (options.format === 'raw') return inspectRaw(reader);
  const found = await detect(reader);
  if (options.format !== undefined && found !== options.format) {
    throw corruptImage({
      label,
      found: `it should be ${options.format}, but its bytes say ${found}`,
      remedy: 'Copy it again if it was cut off, or name its real format.',
      context: { expected: options.format, found },
    });
  }
  switch (found) {
    case 'qcow2':
      return await inspectQcow2(reader);
    case 'vmdk':
      return await inspectVmdk(reader);
    case 'vhd':
      return await inspectVhd(reader);
    case 'vhdx':
      return await inspectVhdx(reader);
    case 'raw':
      refuseBrokenName(reader);
      return inspectRaw(reader);
    default:
      return found satisfies never;
  }
}

async function detect(reader: SliceReader): Promise<QemuFormat> {
  const { label, lengthBytes } = reader;
  const head = await reader.read({
    offsetBytes: 0,
    lengthBytes: Math.min(HEAD_BYTES, lengthBytes),
    what: 'its head',
  });
  if (startsWith(head, 'QFI\xfb')) return 'qcow2';
  if (startsWith(head, 'KDMV')) return 'vmdk';
  if (startsWith(head, 'vhdxfile')) return 'vhdx';
  if (startsWith(head, 'conectix')) return 'vhd';
  if (isVmdkDescriptor(head)) {
    throw hostileImage({
      label,
      found: 'it is a VMDK descriptor, which names other files as its content',
      remedy:
        'Only a descriptor that lies on disk beside its extents is taken; put a self-contained image here.',
    });
  }
  if (await endsAsVhd(reader)) return 'vhd';
  const foreign = foreignFormat(head);
  if (foreign !== null) {
    const { name, remedy } = foreign;
    throw unreadableImage({ label, found: `it is ${name}`, remedy, context: { found: name } });
  }
  return 'raw';
}

/** A fixed VHD is a raw disk with a footer behind it. */
async function endsAsVhd(reader: SliceReader): Promise<boolean> {
  const offsetBytes = reader.lengthBytes - VHD_FOOTER_BYTES;
  if (offsetBytes < 0) return false;
  return startsWith(await reader.read({ offsetBytes, lengthBytes: 8, what: 'its tail' }), 'conectix');
}

/** Whatever is in no known format is taken for a raw disk; what cannot be one is probably no image at all. */
function inspectRaw({ label, lengthBytes }: SliceReader): ImageHeader {
  if (lengthBytes % SECTOR_BYTES !== 0) {
    throw corruptImage({
      label,
      found: `taken for a raw disk, as it has no signature of another format, its ${lengthBytes} bytes are no whole number of 512-byte sectors: it is no disk image, or one that is cut off`,
      remedy: 'Name a disk image or an appliance; copy a raw disk again and compare the sizes.',
      context: { lengthBytes },
    });
  }
  return { format: 'raw', bytes: checkDiskBytes({ label, bytes: lengthBytes }), subformat: null };
}

/**
 * The name never says what an image is, but it can say that something is lost: a fixed VHD cut off before its footer,
 * or a container whose first block was overwritten, would otherwise pass for a raw disk.
 */
function refuseBrokenName({ label }: SliceReader): void {
  const format = MAGICAL_NAMES.get(extname(label).toLowerCase());
  if (format === undefined) return;
  const hint = format === 'VMDK' ? ' If it is an extent, name the descriptor that lists it.' : '';
  throw corruptImage({
    label,
    found: `it is named as a ${format}, but no ${format} signature is left in it: it is cut off or damaged`,
    remedy: `Copy it again; if it really is a raw disk, say so with \`format: raw\`.${hint}`,
  });
}

const MAGICAL_NAMES: ReadonlyMap<string, string> = new Map([
  ['.vmdk', 'VMDK'],
  ['.vhd', 'VHD'],
  ['.vpc', 'VHD'],
  ['.vhdx', 'VHDX'],
  ['.avhdx', 'VHDX'],
  ['.qcow2', 'qcow2'],
  ['.qcow', 'qcow2'],
]);

function startsWith(head: Buffer, magic: string): boolean {
  return head.subarray(0, magic.length).equals(Buffer.from(magic, 'latin1'));
}
