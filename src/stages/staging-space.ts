/** Is there room in staging for what is about to be written? Asked before, because a full disk hurts everyone on it. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import { tryTool } from '../processes/child.ts';
import { formatBytes } from './byte-size.ts';

/** Metadata of the container, and data that does not deflate: 64 KiB grains grow by a 12-byte header and padding (≤ 1.6 %). */
const OVERHEAD = 1.02;
const FIXED_OVERHEAD_BYTES = 4 * 1024 * 1024;

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

/** How much of an opened image is data; its whole size where that cannot be told. `measure` reads no data, only the map. */
export async function dataBytes(image: { uri: string; bytes: number }, signal: AbortSignal): Promise<number> {
  const args = ['measure', '--output=json', '-f', 'raw', '-O', 'qcow2', image.uri];
  const { exitCode, stdout } = await tryTool({ command: 'qemu-img', args, signal });
  if (exitCode !== 0) return image.bytes;
  const { required } = JSON.parse(stdout) as { required: number };
  return Math.min(required, image.bytes);
}

/** The most that a copy of so much data may take, whichever the container. */
export function spaceFor(bytes: number): number {
  return Math.ceil(bytes * OVERHEAD) + FIXED_OVERHEAD_BYTES;
}

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
