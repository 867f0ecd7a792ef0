/** A snapshot's file seen as blocks: which of them hold anything, and their bytes. */
import type { FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import { runTool } from '../../processes/child.ts';

export const BLOCK_BYTES = 512 * 1024;

/** The tool prints about 100 bytes an extent, and may print 8 MiB: a file in more pieces is looked at in parts. */
const SMALLEST_PART_BYTES = 1024 ** 3;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

const mapping = z.array(z.object({ start: z.number(), length: z.number(), zero: z.boolean() }));

export type FileSpan = { path: string; fromBytes: number; endBytes: number; signal: AbortSignal };

/** Ascending; the file system knows that all others are zero, and of these only that they were written once. */
export async function findBlocks(span: FileSpan): Promise<Generator<number>> {
  const extents = await findExtents(span);
  return blocksOf(extents);
}

/** Reads one block, with zeros after the file's end, into `target`. */
export async function readBlock(file: FileHandle, index: number, target: Buffer): Promise<Buffer> {
  let filled = 0;
  while (filled < BLOCK_BYTES) {
    const position = index * BLOCK_BYTES + filled;
    const { bytesRead } = await file.read(target, filled, BLOCK_BYTES - filled, position);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return target.fill(0, filled);
}

export function isZero(block: Buffer): boolean {
  return block.equals(ZEROS);
}

type Extent = { start: number; length: number };

async function findExtents({ path, fromBytes, endBytes, signal }: FileSpan): Promise<Extent[]> {
  if (fromBytes >= endBytes) return [];
  const window = [`--start-offset=${fromBytes}`, `--max-length=${endBytes - fromBytes}`];
  try {
    const { stdout } = await runTool({
      command: 'qemu-img',
      // The overlays of running guests hold its lock; a completed snapshot does not change.
      args: ['map', '-U', '-f', 'raw', '--output=json', ...window, path],
      signal,
    });
    return mapping.parse(JSON.parse(stdout)).filter(({ zero }) => !zero);
  } catch (error) {
    const middle = fromBytes + Math.ceil((endBytes - fromBytes) / 2 / BLOCK_BYTES) * BLOCK_BYTES;
    const isTooMuch = error instanceof LandfallError && error.code === 'tool-failed';
    if (!isTooMuch || endBytes - fromBytes <= SMALLEST_PART_BYTES) throw error;
    const first = await findExtents({ path, fromBytes, endBytes: middle, signal });
    return [...first, ...(await findExtents({ path, fromBytes: middle, endBytes, signal }))];
  }
}

function* blocksOf(extents: readonly Extent[]): Generator<number> {
  let next = 0;
  for (const { start, length } of extents) {
    const end = Math.ceil((start + length) / BLOCK_BYTES);
    for (let index = Math.max(next, Math.floor(start / BLOCK_BYTES)); index < end; index += 1) yield index;
    next = Math.max(next, end);
  }
}
