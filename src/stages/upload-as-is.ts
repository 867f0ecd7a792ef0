/** Which images a target takes as they are: then convert writes nothing, and upload reads the source's own file. */
import { stat } from 'node:fs/promises';
import { fileError } from '../blocks/file-error.ts';
import type { Container, FileSlice, Image, QemuFormat } from '../domain/image.ts';
import { inspectHeader } from '../images/header-guard.ts';

export type FileAsIs = { file: FileSlice; lengthBytes: number };

/** Azure's page blobs and EC2 both want whole MiB in a fixed VHD. */
const VHD_ALIGNMENT_BYTES = 1024 * 1024;
const VHD_FOOTER_BYTES = 512;
const SECTOR_BYTES = 512;

/** The very file (or the member of an archive) to upload, or null where it must be converted first. */
export async function fileAsIs(image: Image, container: Container): Promise<FileAsIs | null> {
  const { layout } = image;
  if (layout.kind !== 'single' || layout.format !== FORMAT_OF[container]) return null;
  const lengthBytes = await lengthOf(layout.file);
  const isTaken = await isTakenAsIs({ container, image, file: layout.file, lengthBytes });
  return isTaken ? { file: { ...layout.file, lengthBytes }, lengthBytes } : null;
}

const FORMAT_OF: Readonly<Record<Container, QemuFormat>> = {
  'vmdk-stream-optimized': 'vmdk',
  'vhd-fixed': 'vhd',
  raw: 'raw',
};

async function isTakenAsIs(question: {
  container: Container;
  image: Image;
  file: FileSlice;
  lengthBytes: number;
}): Promise<boolean> {
  const { container, image, file, lengthBytes } = question;
  switch (container) {
    case 'raw':
      return lengthBytes === image.bytes && lengthBytes % SECTOR_BYTES === 0;
    case 'vmdk-stream-optimized': {
      const { subformat, bytes } = await inspectHeader(file, { format: FORMAT_OF[container] });
      return subformat === 'streamOptimized' && bytes === image.bytes;
    }
    case 'vhd-fixed': {
      const { subformat } = await inspectHeader(file, { format: FORMAT_OF[container] });
      const isWhole = lengthBytes === image.bytes + VHD_FOOTER_BYTES;
      return subformat === 'fixed' && isWhole && image.bytes % VHD_ALIGNMENT_BYTES === 0;
    }
    default:
      return container satisfies never;
  }
}

async function lengthOf({ path, offsetBytes, lengthBytes }: FileSlice): Promise<number> {
  if (lengthBytes !== null) return lengthBytes;
  try {
    return (await stat(path)).size - offsetBytes;
  } catch (error) {
    throw fileError(path, error);
  }
}
