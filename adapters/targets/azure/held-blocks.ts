/**
 * Which blocks of a disk Azure holds, by its own list of page ranges. One bit for each block of 512 KiB: 8 MiB of memory
 * for a disk of 32 TiB. https://learn.microsoft.com/rest/api/storageservices/get-page-ranges
 */
import type { PageBlobClient } from '@azure/storage-blob';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';

export type HeldBlocks = {
  /** Is all of it held? */
  has(index: number): boolean;
  count: number;
  /** Where something is held that is no whole block, in bytes; null where there is no such place. */
  strayAt: number | null;
};

/** Of `lengthBytes` from the beginning of the disk: what is after them is not looked at. */
export async function listHeldBlocks(
  pages: PageBlobClient,
  { lengthBytes, signal }: { lengthBytes: number; signal: AbortSignal },
): Promise<HeldBlocks> {
  const bits = new Uint8Array(Math.ceil(lengthBytes / BLOCK_BYTES / 8));
  let count = 0;
  let strayAt: number | null = null;
  const add = ({ start, end }: Extent): void => {
    const first = Math.ceil(start / BLOCK_BYTES);
    const last = Math.floor(end / BLOCK_BYTES);
    if (start % BLOCK_BYTES !== 0) strayAt ??= start;
    else if (end % BLOCK_BYTES !== 0) strayAt ??= last * BLOCK_BYTES;
    for (let index = first; index < last; index += 1) {
      bits[index >> 3] = (bits[index >> 3] as number) | (1 << (index & 7));
      count += 1;
    }
  };
  for await (const extent of listPageExtents(pages, { lengthBytes, signal })) add(extent);
  return { has: (index) => ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0, count, strayAt };
}

export type Extent = { start: number; end: number };

/** What holds data up to `lengthBytes`, in order, neighbours joined: Azure tells those apart that were written apart. */
export async function* listPageExtents(
  pages: PageBlobClient,
  { startBytes = 0, lengthBytes, signal }: { startBytes?: number; lengthBytes: number; signal: AbortSignal },
): AsyncGenerator<Extent> {
  let current: Extent | null = null;
  const ranges = pages.listPageRanges(startBytes, lengthBytes - startBytes, { abortSignal: signal });
  for await (const range of ranges) {
    const { start: foundAt, end } = extentOf(range, lengthBytes);
    const start = Math.max(startBytes, foundAt);
    if (range.isClear || start >= end) continue;
    if (current !== null && current.end === start) current.end = end;
    else {
      if (current !== null) yield current;
      current = { start, end };
    }
  }
  if (current !== null) yield current;
}

/** Azure's `end` is the last byte itself. */
function extentOf({ start, end }: { start: number; end: number }, lengthBytes: number): Extent {
  return { start: Math.min(start, lengthBytes), end: Math.min(end + 1, lengthBytes) };
}
