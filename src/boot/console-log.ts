/**
 * A guest's serial output on disk. The guest decides how much it prints, so the log keeps only the newest part: two
 * files take turns, and the older one is dropped when the newer one is full.
 */
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LandfallError } from '../domain/errors.ts';

export type ConsoleLog = AsyncDisposable & {
  /** Resolves when written; awaiting it holds a guest back that prints faster than the disk takes. Never rejects. */
  append(bytes: Uint8Array): Promise<void>;
  /** Everything kept, as the guest sent it: between one and two times 512 KiB of a longer output. Throws `no-space`. */
  bytes(): Promise<Buffer>;
};

/** The console of a real cloud instance keeps 64 KiB; this holds the whole boot of any guest seen so far. */
const FILE_BYTES = 512 * 1024;

/** Starts an empty log in the folder. */
export async function openConsoleLog(folder: string): Promise<ConsoleLog> {
  const newer = join(folder, 'console.log');
  const older = join(folder, 'console.older.log');
  await rm(older, { force: true });
  let file = await open(newer, 'w');
  let fileBytes = 0;
  let failure: unknown = null;
  let queue: Promise<void> = Promise.resolve();

  const write = async (bytes: Uint8Array): Promise<void> => {
    if (fileBytes + bytes.byteLength > FILE_BYTES) {
      await file.close();
      await rename(newer, older);
      file = await open(newer, 'w');
      fileBytes = 0;
    }
    await writeAll(file, bytes);
    fileBytes += bytes.byteLength;
  };
  const append = (bytes: Uint8Array): Promise<void> => {
    queue = queue
      .then(() => (failure === null ? write(bytes) : undefined))
      .catch((error: unknown) => {
        failure = error;
      });
    return queue;
  };
  const bytes = async (): Promise<Buffer> => {
    await queue;
    if (failure !== null) throw unwritable(newer, failure);
    return readConsoleLog(folder);
  };
  const dispose = async (): Promise<void> => {
    await queue;
    // A failed rotation leaves the handle closed already.
    await file.close().catch(() => undefined);
  };
  return { append, bytes, [Symbol.asyncDispose]: dispose };
}

/** What a log in this folder holds, also after its writer is gone; empty where there is none. */
export async function readConsoleLog(folder: string): Promise<Buffer> {
  const older = await readIfPresent(join(folder, 'console.older.log'));
  const newer = await readIfPresent(join(folder, 'console.log'));
  return Buffer.concat([older, newer]);
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) done += (await file.write(bytes, done)).bytesWritten;
}

async function readIfPresent(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

function unwritable(path: string, cause: unknown): LandfallError {
  const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
  return new LandfallError({
    code: isFull ? 'no-space' : 'internal',
    message: `The guest's console could not be written to ${path} (${String(cause)}). Make room there and boot it again.`,
    cause,
  });
}
