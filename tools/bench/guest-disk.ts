/**
 * Disks to measure with, made without mounts and without root: a file system full of this machine's own programs,
 * libraries and texts, as a guest's disk would be; the same spread over a large disk; and one that nothing can compress.
 */
import { randomFillSync } from 'node:crypto';
import { copyFile, link, lstat, mkdir, open, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../src/processes/child.ts';

export type DiskOptions = { path: string; lengthBytes: number; signal: AbortSignal };

const MIB = 2 ** 20;
/** What any Debian guest holds most of. */
const GUEST_FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/lib', '/usr/share'];
/** The rest is left to ext4's tables, and to its journal, of the least length. */
const FILLED = 0.95;
const JOURNAL_MIB = 4;
const EXT4_BLOCK_BYTES = 4096;
const FILES_PER_FOLDER = 1_000;
/** Inodes for folders, and those that ext4 keeps for itself. */
const SPARE_INODES = 1_000;

/** One ext4 file system, full of files. */
export async function makeGuestDisk({ path, lengthBytes, signal }: DiskOptions): Promise<void> {
  const folder = `${path}.files`;
  try {
    const fileCount = await gatherFiles({
      folder,
      lengthBytes: FILLED * lengthBytes - 1.5 * JOURNAL_MIB * MIB,
      signal,
    });
    await createSparse(path, lengthBytes);
    // Debian keeps mkfs in a folder that is not on every user's PATH.
    const environment = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
    const tables = ['-N', String(fileCount + SPARE_INODES), '-J', `size=${JOURNAL_MIB}`];
    const shape = ['-q', '-F', '-m', '0', '-b', String(EXT4_BLOCK_BYTES), ...tables, '-E', 'root_owner=0:0'];
    const size = `${Math.floor(lengthBytes / 1024)}k`;
    await runTool({ command: 'mkfs.ext4', args: [...shape, '-d', folder, path, size], environment, signal });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** So much of another disk's content, over and over, in slices that lie as far apart as they can. */
export async function makeSpreadDisk(
  options: DiskOptions & { content: string; contentBytes: number; sliceBytes: number },
): Promise<void> {
  const { path, lengthBytes, content, contentBytes, sliceBytes, signal } = options;
  await createSparse(path, lengthBytes);
  await using from = await open(content, 'r');
  const { size } = await from.stat();
  await using to = await open(path, 'r+');
  const slices = Math.ceil(contentBytes / sliceBytes);
  const strideBytes = Math.floor(lengthBytes / slices / MIB) * MIB;
  const bytes = Buffer.alloc(sliceBytes);
  for (let slice = 0; slice < slices; slice += 1) {
    signal.throwIfAborted();
    const { bytesRead } = await from.read(bytes, 0, sliceBytes, (slice * sliceBytes) % size);
    await to.write(bytes, 0, bytesRead, slice * strideBytes);
  }
}

/** Every byte of it is random: nothing is left out, and nothing gets shorter. */
export async function makeRandomDisk({ path, lengthBytes, signal }: DiskOptions): Promise<void> {
  await using file = await open(path, 'w');
  const bytes = Buffer.alloc(MIB);
  for (let at = 0; at < lengthBytes; at += MIB) {
    signal.throwIfAborted();
    await file.write(randomFillSync(bytes), 0, Math.min(MIB, lengthBytes - at));
  }
}

async function createSparse(path: string, lengthBytes: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, lengthBytes);
}

/** Fills the folder; gives how many files it took. A machine with few programs gives each more than once. */
async function gatherFiles({
  folder,
  lengthBytes,
  signal,
}: Omit<DiskOptions, 'path'> & { folder: string }): Promise<number> {
  let count = 0;
  let heldBytes = 0;
  for (let round = 0; ; round += 1) {
    const countBefore = count;
    for await (const file of guestFiles(signal)) {
      if (heldBytes + file.bytes > lengthBytes) return count;
      const shelf = join(folder, String(Math.floor(count / FILES_PER_FOLDER)));
      if (count % FILES_PER_FOLDER === 0) await mkdir(shelf, { recursive: true });
      await (round === 0 ? linkOrCopy : copyFile)(file.path, join(shelf, String(count)));
      count += 1;
      heldBytes += Math.ceil(file.bytes / EXT4_BLOCK_BYTES) * EXT4_BLOCK_BYTES + EXT4_BLOCK_BYTES / 8;
    }
    if (count === countBefore)
      throw new Error(`There is nothing to fill disks with in ${GUEST_FOLDERS.join(', ')}`);
  }
}

/** Another file system, or another user's file: both refuse a link. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

async function* guestFiles(signal: AbortSignal): AsyncGenerator<{ path: string; bytes: number }> {
  for (const top of GUEST_FOLDERS) {
    const found = await readdir(top, { recursive: true, withFileTypes: true }).catch(() => []);
    const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const path of paths.sort()) {
      signal.throwIfAborted();
      const { size } = await lstat(path);
      if (size > 0) yield { path, bytes: size };
    }
  }
}
