/** What identifies the content of files while they are read: equal fingerprints mean that nothing wrote to them. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { LandfallError } from '../domain/errors.ts';
import type { Fingerprint, ImageLayout } from '../domain/image.ts';

/**
 * Inode, size, mtime and ctime (nanoseconds) of each file, in the order given, hashed: a split disk of hundreds of
 * files costs a record no more than one file. The device is left out: hosts that share a folder over NFS number it
 * differently. Throws `source-changed` when a file is gone.
 */
export async function fingerprintFiles(paths: readonly string[]): Promise<Fingerprint> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { ino, size, mtimeNs, ctimeNs } = await statBig(path);
    hash.update(`${ino}:${size}:${mtimeNs}:${ctimeNs}\n`);
  }
  return `files:${hash.digest('hex')}`;
}

export async function fingerprintLayout(layout: ImageLayout): Promise<Fingerprint> {
  return await fingerprintFiles(filesOf(layout));
}

/** The files that hold a layout's bytes, each once, in order. */
export function filesOf(layout: ImageLayout): string[] {
  switch (layout.kind) {
    case 'single':
      return [layout.file.path];
    case 'pieces':
      return [...new Set(layout.pieces.flatMap((piece) => (piece.kind === 'zero' ? [] : [piece.file.path])))];
    case 'blank':
      return [];
    default:
      return layout satisfies never;
  }
}

async function statBig(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const isGone = code === 'ENOENT' || code === 'ENOTDIR';
    throw new LandfallError({
      code: 'source-changed',
      message: isGone
        ? `${path} is gone since the migration began. Bring it back as it was, or start the machine again from its new place.`
        : `${path} can no longer be examined (${code}). Check the storage it lies on and its permissions.`,
      retryable: !isGone,
      context: { path, errno: code },
      cause: error,
    });
  }
}
