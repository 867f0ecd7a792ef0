/** Reads of a file of known length that cannot leave it. */
import type { FileHandle } from 'node:fs/promises';

export type FileWindow = {
  bytes: number;
  /** Exactly so many bytes, or null where they are not all within the file. */
  read(offset: number, length: number): Promise<Buffer | null>;
};

export async function openWindow(file: FileHandle): Promise<FileWindow> {
  const { size } = await file.stat();
  return {
    bytes: size,
    async read(offset, length) {
      const end = offset + length;
      if (!Number.isSafeInteger(end) || offset < 0 || end > size) return null;
      const { buffer, bytesRead } = await file.read({
        buffer: Buffer.alloc(length),
        position: offset,
      });
      return bytesRead === length ? buffer : null;
    },
  };
}
