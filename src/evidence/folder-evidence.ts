/** Evidence in a folder that all workers of a site share. */
import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { mkdir, open, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { type ErrorCode, LandfallError } from '../domain/errors.ts';
import type { Evidence } from '../domain/ports.ts';
import { checkEvidencePath, checkEvidencePrefix } from './evidence-path.ts';

/** Marks what was not yet renamed into place, so that listings leave it out. */
const UNFINISHED = '.unfinished-';
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** A file is there whole or not at all, also after a power cut: written aside, synced, renamed, the folder synced. */
export function openFolderEvidence(folder: string): Evidence {
  const root = resolve(folder);
  const locate = (path: string): string => join(root, checkEvidencePath(path));
  return {
    locate,
    put: (path, bytes, signal) =>
      guard({ doing: 'write', path: locate(path), signal }, (options) =>
        writeWhole({ root, file: locate(path), bytes }, options),
      ),
    get: (path, signal) =>
      guard({ doing: 'read', path: locate(path), signal }, (options) =>
        readIfThere({ root, file: locate(path) }, options),
      ),
    list(prefix, signal) {
      checkEvidencePrefix(prefix);
      // Only the folder that the prefix names can hold what begins with it.
      const start = join(root, prefix.slice(0, prefix.lastIndexOf('/') + 1));
      return guard({ doing: 'list', path: start, signal }, async (options) => {
        const paths = (await walk(start, options)).map((file) => relative(root, file).split(sep).join('/'));
        return paths.filter((path) => path.startsWith(prefix)).sort();
      });
    },
  };
}

type Abortable = { signal?: AbortSignal };

async function writeWhole(
  { root, file, bytes }: { root: string; file: string; bytes: Uint8Array | string },
  options: Abortable,
): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true });
  await checkInside(root, folder);
  const aside = join(folder, `${UNFINISHED}${randomBytes(8).toString('hex')}`);
  try {
    await using handle = await open(aside, 'wx');
    await handle.writeFile(bytes, options);
    await handle.sync();
    options.signal?.throwIfAborted();
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function readIfThere(
  { root, file }: { root: string; file: string },
  options: Abortable,
): Promise<Uint8Array | null> {
  try {
    await checkInside(root, file);
    return await readFile(file, options);
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** A symbolic link could lead out of the store although the path does not. */
async function checkInside(root: string, path: string): Promise<void> {
  const [realRoot, real] = await Promise.all([realpath(root), realpath(path)]);
  if (real === realRoot || real.startsWith(realRoot + sep)) return;
  throw new LandfallError({
    code: 'evidence-unavailable',
    message: `${path} leads out of the evidence folder ${root}, to ${real}. Remove the symbolic link.`,
    context: { path },
  });
}

async function walk(folder: string, options: Abortable): Promise<string[]> {
  options.signal?.throwIfAborted();
  const files: string[] = [];
  for (const entry of await readFolder(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) files.push(...(await walk(path, options)));
    else if (entry.isFile() && !entry.name.startsWith(UNFINISHED)) files.push(path);
  }
  return files;
}

async function readFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function guard<T>(
  { doing, path, signal }: { doing: string; path: string; signal: AbortSignal | undefined },
  work: (options: Abortable) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await work(signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof LandfallError) throw error;
    const { code: reason = String(error) } = error as NodeJS.ErrnoException;
    const code: ErrorCode = FULL.has(reason) ? 'no-space' : 'evidence-unavailable';
    throw new LandfallError({
      code,
      message: `Landfall could not ${doing} the evidence ${path} (${reason}). Check space and permissions there, or set LANDFALL_EVIDENCE to another place.`,
      // Shared folders come back, space is made.
      retryable: true,
      cause: error,
      context: { path, reason },
    });
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
