/**
 * Disk images compressed with gzip. They cannot be read at random, so they are unpacked into staging before anything
 * else. What is inside is found out first, in one pass that keeps only the ends: its head and its tail, in a sparse
 * file of the full length, are what the header guard looks at. So its format, its size and the space that it will
 * take are known before a byte is written to staging, and whatever grows beyond that is stopped.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { FileSlice, QemuFormat } from '../domain/image.ts';
import { MAX_DISK_BYTES } from './disk-size.ts';
import { fingerprintFiles } from './fingerprint.ts';
import { inspectHeader } from './header-guard.ts';
import type { Verdicts } from './manifest-verdicts.ts';
import { COPY_AGAIN, corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import { openSlice } from './slice-reader.ts';

export type GzipImage = {
  file: FileSlice;
  /** How messages call it. */
  label: string;
  /** Of the image inside. */
  format: QemuFormat;
  /** Virtual size of its disk. */
  bytes: number;
  /** Of the file that unpacking gives. */
  unpackedBytes: number;
};

export type InspectGzip = {
  file: FileSlice;
  label: string;
  format?: QemuFormat | undefined;
  /** What the disk is said to hold; null where nothing says it. */
  capacityBytes: number | null;
  verdicts: Verdicts;
  scratchFolder: string;
  signal: AbortSignal;
};

/** Holds the headers, tables and metadata of every format for all but the largest disks. */
const HEAD_BYTES = 8 * 1024 * 1024;
/** Holds the footer of a VHD, and the footer and directory of a stream-optimised VMDK. */
const TAIL_BYTES = 1024 * 1024;
/** Inflating is done on a thread of libuv's pool in pieces of this size. */
const PIECE_BYTES = 256 * 1024;
/** What a container may take beyond its disk: tables and markers, at most 1 in 64, and its headers. */
const OVERHEAD = { divisor: 64, bytes: 64 * 1024 * 1024 };

/** Throws `image-…` errors. Reads the whole file, once for as long as it stays the same (see manifest-verdicts.ts). */
export async function inspectGzip(request: InspectGzip): Promise<GzipImage> {
  const { file, label, format, capacityBytes, verdicts, signal } = request;
  const fingerprint = await fingerprintFiles([file.path]);
  const subject = createHash('sha256').update(
    JSON.stringify(['gzip', fingerprint, file, format ?? null, capacityBytes]),
  );
  const {
    format: inner,
    bytes,
    unpackedBytes,
  } = await verdicts.once({
    subject: subject.digest('hex'),
    signal,
    judge: () => lookInside(request),
  });
  return { file, label, format: inner, bytes, unpackedBytes };
}

/** Is this the head of a gzip file? */
export function isGzipHead(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b && head[2] === 0x08;
}

/** Hands the unpacked bytes, piece by piece, to `take`. Throws `image-…` errors and what `take` throws. */
export async function inflate(request: {
  file: FileSlice;
  label: string;
  signal: AbortSignal;
  take: (piece: Buffer) => Promise<void> | void;
}): Promise<void> {
  const { file, label, signal, take } = request;
  await using reader = await openSlice({ slice: file, label, signal });
  const end = file.offsetBytes + reader.lengthBytes - 1;
  let taken: unknown;
  try {
    await pipeline(
      createReadStream(file.path, { start: file.offsetBytes, end, highWaterMark: PIECE_BYTES }),
      createGunzip({ chunkSize: PIECE_BYTES }),
      async (pieces: AsyncIterable<Buffer>) => {
        for await (const piece of pieces) {
          await Promise.resolve(take(piece)).catch((error: unknown) => {
            taken = error;
            throw error;
          });
        }
      },
      { signal },
    );
  } catch (error) {
    signal.throwIfAborted();
    if (taken !== undefined) throw taken;
    throw damaged(label, error);
  }
}

async function lookInside({
  file,
  label,
  format,
  capacityBytes,
  scratchFolder,
  signal,
}: InspectGzip): Promise<{ format: QemuFormat; bytes: number; unpackedBytes: number }> {
  const folder = await mkdtemp(join(scratchFolder, 'gzip-'));
  try {
    const path = join(folder, 'ends');
    const limitBytes = limitFor(capacityBytes);
    const unpackedBytes = await writeEnds({ file, label, limitBytes, path, signal });
    const ends = { path, offsetBytes: 0, lengthBytes: null };
    const header = await inspectHeader(ends, { label, format, signal });
    return { format: header.format, bytes: header.bytes, unpackedBytes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function limitFor(capacityBytes: number | null): number {
  const bytes = Math.min(capacityBytes ?? MAX_DISK_BYTES, MAX_DISK_BYTES);
  return bytes + Math.ceil(bytes / OVERHEAD.divisor) + OVERHEAD.bytes;
}

/** Gives the full length. */
async function writeEnds(request: {
  file: FileSlice;
  label: string;
  limitBytes: number;
  path: string;
  signal: AbortSignal;
}): Promise<number> {
  const { file, label, limitBytes, path, signal } = request;
  await using ends = await open(path, 'wx', 0o600);
  let lengthBytes = 0;
  let tail: Buffer[] = [];
  let tailBytes = 0;
  const take = async (piece: Buffer): Promise<void> => {
    const headBytes = Math.min(piece.length, Math.max(0, HEAD_BYTES - lengthBytes));
    if (headBytes > 0) await ends.write(piece, 0, headBytes, lengthBytes);
    lengthBytes += piece.length;
    if (lengthBytes > limitBytes) throw tooLarge({ label, limitBytes });
    tail.push(piece);
    tailBytes += piece.length;
    if (tailBytes < 2 * TAIL_BYTES) return;
    tail = [Buffer.concat(tail).subarray(-TAIL_BYTES)];
    tailBytes = TAIL_BYTES;
  };
  await inflate({ file, label, signal, take });
  const last = Buffer.concat(tail).subarray(-TAIL_BYTES);
  await ends.write(last, 0, last.length, lengthBytes - last.length);
  return lengthBytes;
}

function tooLarge({ label, limitBytes }: { label: string; limitBytes: number }) {
  return hostileImage({
    label,
    found: `it unpacks to more than ${limitBytes} bytes, which no disk of its size takes`,
    remedy: 'Find out who made this file; if the disk is real, unpack it yourself and name the result.',
    context: { limitBytes },
  });
}

function damaged(label: string, error: unknown) {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const said = error instanceof Error ? error.message : String(error);
  if (code.startsWith('Z_')) {
    const found = `it cannot be unpacked (${said}): it is cut off or damaged`;
    return corruptImage({ label, found, remedy: COPY_AGAIN, cause: error });
  }
  return unreadableImage({
    label,
    found: `reading it failed (${said})`,
    remedy: 'Check the storage it lies on.',
    cause: error,
  });
}
