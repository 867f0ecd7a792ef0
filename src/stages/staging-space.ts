/** Is there room in staging for what is about to be written? Asked before, because a full disk hurts everyone on it. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';

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
    message: `Staging ${full.what} needs about ${formatBytes(full.bytes)} more in ${full.folder}, where ${formatBytes(full.freeBytes)} are free. Free some space, point staging to a larger disk, or move fewer machines at once (limits.machines).`,
    // Other machines of the wave give their space back as they land.
    retryable: true,
    cause: full.cause,
    context: { folder: full.folder, neededBytes: full.bytes, freeBytes: full.freeBytes },
  });
}
