/** Reads a slice of a file by offset, within bounds: whatever an image's header claims, no read leaves the slice. */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import type { FileSlice } from '../domain/image.ts';
import { COPY_AGAIN, corruptImage, missingImage, unreadableImage } from './refusal.ts';

export type SliceReader = AsyncDisposable & {
  label: string;
  path: string;
  lengthBytes: number;
  /** Exactly `lengthBytes` bytes. Throws `image-corrupt`, naming `what`, where they lie beyond the end. */
  read(wanted: BytesAt): Promise<Buffer>;
  /** The same bytes in turn, at most 1 MiB at once, so that a table of any size costs constant memory. */
  readInBatches(wanted: BytesAt): AsyncGenerator<Buffer>;
  /** Throws `image-corrupt`, naming `what`, where these bytes lie beyond the end. */
  expect(wanted: BytesAt): void;
};

export type BytesAt = {
  offsetBytes: number;
  lengthBytes: number;
  /** What lies there, for messages: "its grain directory". */
  what: string;
};

const BATCH_BYTES = 1024 * 1024;

export async function openSlice(options: {
  slice: FileSlice;
  label: string;
  signal?: AbortSignal | undefined;
}): Promise<SliceReader> {
  const { slice, label, signal } = options;
  const stats = await statImage(slice.path, label);
  const lengthBytes = sliceLength({ slice, label, fileBytes: stats.size });
  // Non-blocking: between stat and open the file may have become a pipe that nobody writes.
  const file = await open(slice.path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw fileError(error, label);
  });
  const expect = (wanted: BytesAt): void => expectWithin({ wanted, label, lengthBytes });
  const read = async (wanted: BytesAt): Promise<Buffer> => {
    expect(wanted);
    signal?.throwIfAborted();
    return await readFully({ file, position: slice.offsetBytes + wanted.offsetBytes, wanted, label });
  };
  return {
    label,
    path: slice.path,
    lengthBytes,
    read,
    expect,
    readInBatches: async function* (wanted) {
      expect(wanted);
      for (let done = 0; done < wanted.lengthBytes; done += BATCH_BYTES) {
        const lengthBytes = Math.min(BATCH_BYTES, wanted.lengthBytes - done);
        yield await read({ offsetBytes: wanted.offsetBytes + done, lengthBytes, what: wanted.what });
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** A regular file's stats. Throws `image-missing` or `image-unreadable`. */
export async function statImage(path: string, label: string): Promise<Stats> {
  const stats = await stat(path).catch((error: unknown) => {
    throw fileError(error, label);
  });
  if (!stats.isFile()) {
    throw unreadableImage({
      label,
      found: `${resolve(path)} is ${stats.isDirectory() ? 'a folder' : 'no regular file'}`,
      remedy: 'Name a disk image file.',
    });
  }
  return stats;
}

function sliceLength({
  slice,
  label,
  fileBytes,
}: {
  slice: FileSlice;
  label: string;
  fileBytes: number;
}): number {
  const lengthBytes = slice.lengthBytes ?? fileBytes - slice.offsetBytes;
  if (lengthBytes < 0 || slice.offsetBytes + lengthBytes > fileBytes) {
    throw corruptImage({
      label,
      found: `it should reach to byte ${slice.offsetBytes + Math.max(0, lengthBytes)} of ${slice.path}, but that file ends at ${fileBytes}`,
      remedy: COPY_AGAIN,
      context: { path: slice.path, fileBytes },
    });
  }
  return lengthBytes;
}

function expectWithin(check: { wanted: BytesAt; label: string; lengthBytes: number }): void {
  const { wanted, label, lengthBytes } = check;
  const endBytes = wanted.offsetBytes + wanted.lengthBytes;
  if (Number.isSafeInteger(endBytes) && wanted.offsetBytes >= 0 && endBytes <= lengthBytes) return;
  throw corruptImage({
    label,
    found: `it is cut off or damaged: it has ${lengthBytes} bytes, and ${wanted.what} should reach to byte ${endBytes}`,
    remedy: COPY_AGAIN,
    context: { expectedBytes: endBytes, lengthBytes },
  });
}

async function readFully(request: {
  file: FileHandle;
  position: number;
  wanted: BytesAt;
  label: string;
}): Promise<Buffer> {
  const { file, position, wanted, label } = request;
  const buffer = Buffer.alloc(wanted.lengthBytes);
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await file
      .read(buffer, done, buffer.length - done, position + done)
      .catch((error: unknown) => {
        throw fileError(error, label);
      });
    if (bytesRead === 0) {
      throw corruptImage({
        label,
        found: 'it became shorter while it was read',
        remedy: 'See that nothing writes to it, then try again.',
      });
    }
    done += bytesRead;
  }
  return buffer;
}

function fileError(error: unknown, label: string): LandfallError {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return missingImage({
        label,
        found: 'there is no such file',
        remedy: 'Check the path; relative paths in a wave file start at its folder.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return unreadableImage({
        label,
        found: 'this user may not read it',
        remedy: `Let uid ${process.getuid?.() ?? '?'} read the file and enter its folders, or run the export pool as a user who may.`,
        cause: error,
      });
    default:
      return new LandfallError({
        code: 'image-unreadable',
        message: `Cannot read ${label}: ${code}. Check the storage it lies on.`,
        retryable: true,
        context: { image: label, errno: code },
        cause: error,
      });
  }
}
