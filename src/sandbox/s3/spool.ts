/** Files on their way in. Whatever nobody took over is removed: with its owner, or at the next start after a kill. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';

export type SpoolFile = AsyncDisposable & {
  path: string;
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the writing; the file may then be renamed away. */
  close(): Promise<void>;
};

export type Spool = { create(): Promise<SpoolFile> };

export async function openSpool(folder: string): Promise<Spool> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return { create: () => createFile(join(folder, randomUUID())) };
}

async function createFile(path: string): Promise<SpoolFile> {
  const handle = await open(path, 'wx');
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await handle.close();
  };
  return {
    path,
    close,
    write: (chunk) => writeAll(handle, chunk),
    [Symbol.asyncDispose]: async () => {
      await close();
      await rm(path, { force: true });
    },
  };
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, written);
    written += bytesWritten;
  }
}
