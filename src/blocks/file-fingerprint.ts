/** What identifies a file's content while it is copied. */
import { stat } from 'node:fs/promises';
import type { Fingerprint } from '../domain/image.ts';
import { fileError } from './file-error.ts';

/**
 * Inode, size, mtime and ctime (ns). The device is left out on purpose: two hosts that share one staging folder over
 * NFS see different device numbers for the same file. Throws `image-missing` or `image-unreadable`.
 */
export async function fingerprintFile(path: string): Promise<Fingerprint> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `file:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch (error) {
    throw fileError(path, error);
  }
}
