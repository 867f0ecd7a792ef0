/** Is there room in staging for what is about to be written? Asked before, because a full disk hurts everyone on it. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Image, QemuFormat } from '../domain/image.ts';

/** Bytes that can still be written in a folder, or in the nearest one above it that exists. */
export async function freeBytes(folder: string): Promise<number> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch (error) {
      const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!isMissing || path === dirname(path)) throw error;
    }
  }
}

/** Metadata and padding: a sector for each grain of 128 that does not compress, and tables. */
const OVERHEAD = 1.01;
const FIXED_OVERHEAD_BYTES = 1024 * 1024;

/** The most that so much data takes in any container. */
export function spaceFor(dataBytes: number): number {
  return Math.ceil(dataBytes * OVERHEAD) + FIXED_OVERHEAD_BYTES;
}

/**
 * An upper bound from the image's own file, for formats that never compress; null for others. qemu cannot tell holes
 * in a VHDX (it takes the whole disk for data), so without it a thin 1 TiB disk would need 1 TiB of staging.
 */
export async function boundByFile({ layout }: Image): Promise<number | null> {
  if (layout.kind !== 'single' || !UNCOMPRESSED.has(layout.format)) return null;
  const { blocks } = await stat(layout.file.path);
  return spaceFor(blocks * STAT_BLOCK_BYTES);
}

const UNCOMPRESSED: ReadonlySet<QemuFormat> = new Set(['raw', 'vhd', 'vhdx']);
/** POSIX: stat counts in 512 bytes, whatever the file system's blocks are. */
const STAT_BLOCK_BYTES = 512;

/** Throws `no-space`, naming the folder, what is needed and what is free. */
export async function requireSpace(need: { folder: string; bytes: number; what: string }): Promise<void> {
  const free = await freeBytes(need.folder);
  if (free >= need.bytes) return;
  throw noSpace({ ...need, freeBytes: free });
}

export function noSpace(full: {
  folder: string;
  bytes: number;
  what: string;
  freeBytes: number;
  cause?: unknown;
}): LandfallError {
  return new LandfallError({
    code: 'no-space',
    message: `Staging ${full.what} needs about ${formatBytes(full.bytes)} in ${full.folder}, where ${formatBytes(full.freeBytes)} are free. Free some space, point staging to a larger disk, or move fewer machines at once (limits.machines).`,
    // Other machines of the wave give their space back as they land.
    retryable: true,
    cause: full.cause,
    context: { folder: full.folder, neededBytes: full.bytes, freeBytes: full.freeBytes },
  });
}
