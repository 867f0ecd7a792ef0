/** Finds out what one disk file holds: an image in a container, read in place, or one compressed with gzip. */
import type { FileSlice, QemuFormat } from '../domain/image.ts';
import type { DescribedDisk, ReadOptions } from './appliance-machine.ts';
import { type DescribedImage, describeImage, describeSlice } from './describe-image.ts';
import { inspectGzip, isGzipHead } from './gzip-image.ts';
import { openSlice } from './slice-reader.ts';

export type DiskFile = {
  slice: FileSlice;
  /** An absolute path, or `archive.ova!member`. */
  label: string;
  format?: QemuFormat | undefined;
  /** What its descriptor says of its size; null where nothing does. */
  capacityBytes: number | null;
};

const GZIP_HEAD_BYTES = 3;

/** Throws `image-…` errors. */
export async function describeDiskFile(
  file: DiskFile,
  options: ReadOptions,
): Promise<Omit<DescribedDisk, 'boots'>> {
  const { slice, label, format, capacityBytes } = file;
  const { signal, verdicts, scratchFolder } = options;
  const head = await readHead(file, { lengthBytes: GZIP_HEAD_BYTES, signal });
  if (isGzipHead(head)) {
    const request = { file: slice, label, format, capacityBytes, verdicts, scratchFolder, signal };
    const gzip = await inspectGzip(request);
    return { bytes: gzip.bytes, format: gzip.format, file: label, content: { kind: 'gzip', gzip } };
  }
  const found = await describe(file, signal);
  const { image } = found;
  return { bytes: image.bytes, format: found.format, file: label, content: { kind: 'image', image } };
}

/** The first bytes; fewer where the file is shorter. */
export async function readHead(
  { slice, label }: { slice: FileSlice; label: string },
  { lengthBytes, signal }: { lengthBytes: number; signal: AbortSignal },
): Promise<Buffer> {
  await using reader = await openSlice({ slice, label, signal });
  const length = Math.min(lengthBytes, reader.lengthBytes);
  return await reader.read({ offsetBytes: 0, lengthBytes: length, what: 'its head' });
}

/** Only a whole file on disk can have extents beside it. */
function describe({ slice, label, format }: DiskFile, signal: AbortSignal): Promise<DescribedImage> {
  const isWholeFile = slice.offsetBytes === 0 && slice.lengthBytes === null;
  if (isWholeFile) return describeImage({ path: slice.path, format, signal });
  return describeSlice(slice, { label, format, signal });
}
