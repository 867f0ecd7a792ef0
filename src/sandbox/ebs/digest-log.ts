/**
 * Which blocks a snapshot under way holds, and the SHA-256 of each: in memory 4 KiB per 64 MiB of disk that has any,
 * in its file 36 bytes per block, appended: its index (4, little endian) and its digest (32). A record is in the file
 * before its block is acknowledged, so that it survives the end of the process.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';

export type DigestLog = {
  readonly count: number;
  /** null where the block was not written. */
  get(index: number): Buffer | null;
  /** Throws where the file cannot be written; then the block is not held. */
  add(index: number, digest: Buffer): void;
  /** SHA-256 over the digests in the order of their blocks. */
  linear(): Buffer;
  close(): void;
};

const DIGEST_BYTES = 32;
const RECORD_BYTES = 4 + DIGEST_BYTES;
const CHUNK_BLOCKS = 128;
const READ_RECORDS = 16_384;
/** No block has this digest: it stands for one that was not written. */
const NONE = Buffer.alloc(DIGEST_BYTES);

/** Takes up what the file holds; a record that was cut off by the end of the process counts for nothing. */
export async function openDigestLog(path: string): Promise<DigestLog> {
  const chunks = new Map<number, Buffer>();
  let count = 0;
  const keep = (index: number, digest: Buffer): void => {
    const number = Math.floor(index / CHUNK_BLOCKS);
    const chunk = chunks.get(number) ?? Buffer.alloc(CHUNK_BLOCKS * DIGEST_BYTES);
    chunks.set(number, chunk);
    const at = (index % CHUNK_BLOCKS) * DIGEST_BYTES;
    if (NONE.equals(chunk.subarray(at, at + DIGEST_BYTES))) count += 1;
    digest.copy(chunk, at);
  };
  let end = await readRecords(path, keep);
  // Synchronous: 36 bytes into the page cache cost less than a trip through the thread pool.
  const file = openSync(path, 'r+');
  const record = Buffer.alloc(RECORD_BYTES);
  return {
    get count() {
      return count;
    },
    get(index) {
      const at = (index % CHUNK_BLOCKS) * DIGEST_BYTES;
      const digest = chunks.get(Math.floor(index / CHUNK_BLOCKS))?.subarray(at, at + DIGEST_BYTES);
      return digest === undefined || NONE.equals(digest) ? null : digest;
    },
    add(index, digest) {
      record.writeUInt32LE(index);
      digest.copy(record, 4);
      const written = writeSync(file, record, 0, RECORD_BYTES, end);
      if (written !== RECORD_BYTES) throw new Error(`${path} took ${written} of ${RECORD_BYTES} bytes`);
      end += RECORD_BYTES;
      keep(index, digest);
    },
    linear() {
      const hash = createHash('sha256');
      for (const number of [...chunks.keys()].sort((left, right) => left - right)) {
        for (const digest of digestsOf(chunks.get(number) ?? NONE)) hash.update(digest);
      }
      return hash.digest();
    },
    close: () => closeSync(file),
  };
}

/** Gives the length of what is whole. */
async function readRecords(path: string, keep: (index: number, digest: Buffer) => void): Promise<number> {
  await using file = await open(path, 'a+');
  const buffer = Buffer.alloc(READ_RECORDS * RECORD_BYTES);
  for (let end = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, end);
    const whole = bytesRead - (bytesRead % RECORD_BYTES);
    for (let at = 0; at < whole; at += RECORD_BYTES) {
      keep(buffer.readUInt32LE(at), buffer.subarray(at + 4, at + RECORD_BYTES));
    }
    end += whole;
    if (whole === 0) return end;
  }
}

function* digestsOf(chunk: Buffer): Generator<Buffer> {
  for (let at = 0; at < chunk.length; at += DIGEST_BYTES) {
    const digest = chunk.subarray(at, at + DIGEST_BYTES);
    if (!NONE.equals(digest)) yield digest;
  }
}
