/** Says how a disk image on disk is laid out, after the header guard let every file of it pass. */
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { FileSlice, Image, QemuFormat } from '../domain/image.ts';
import { type InspectOptions, inspectHeader } from './header-guard.ts';
import { statImage } from './slice-reader.ts';
import { isVmdkDescriptor } from './vmdk-descriptor.ts';
import { describePieces } from './vmdk-pieces.ts';

export type DescribedImage = {
  image: Omit<Image, 'site'>;
  format: QemuFormat;
  /** What the header says of itself, for example `streamOptimized` or `fixed`; null where the format knows none. */
  headerSubformat: string | null;
  /** Every file that was read, the descriptor included, as absolute paths: for fingerprints. */
  files: string[];
};

export type ImageRequest = {
  path: string;
  /** `raw` takes the bytes as they are, whatever they look like; any other format must agree with the bytes. */
  format?: QemuFormat | undefined;
  signal?: AbortSignal | undefined;
};

/** A file on disk; a VMDK descriptor is taken with its extents beside it. Throws `image-…` errors. */
export async function describeImage({ path, format, signal }: ImageRequest): Promise<DescribedImage> {
  const absolute = resolve(path);
  const isVmdkWanted = format === undefined || format === 'vmdk';
  if (isVmdkWanted && isVmdkDescriptor(await readHead(absolute))) {
    const { pieces, createType, files } = await describePieces({ descriptor: absolute, signal });
    const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
    return {
      image: { bytes, layout: { kind: 'pieces', pieces } },
      format: 'vmdk',
      headerSubformat: createType,
      files,
    };
  }
  return await describeSlice({ path: absolute, offsetBytes: 0, lengthBytes: null }, { format, signal });
}

/** One self-contained image within a file, such as a member of an OVA. */
export async function describeSlice(slice: FileSlice, options: InspectOptions = {}): Promise<DescribedImage> {
  const { format, bytes, subformat } = await inspectHeader(slice, options);
  return {
    image: { bytes, layout: { kind: 'single', format, file: slice } },
    format,
    headerSubformat: subformat,
    files: [slice.path],
  };
}

/** Short files give what they have. */
async function readHead(path: string): Promise<Buffer> {
  await statImage(path, path);
  const buffer = Buffer.alloc(512);
  try {
    await using file = await open(path);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    // The guard opens it again and says what is wrong.
    return Buffer.alloc(0);
  }
}
