/**
 * Copies blocks in any order, many at once: each lane reads a block, leaves zeros out (in a later pass it clears them),
 * digests and writes it, then takes the next. Whoever writes may let lanes wait (bandwidth, a throttled target): nothing is read ahead of them.
 *
 * Memory: lanes × 512 KiB.
 */
import { hash } from 'node:crypto';
import { ZERO_BLOCK_SHA256 } from './digest-tree.ts';
import type { DiskReader } from './disk-reader.ts';
import { BLOCK_BYTES } from './stream-encoder.ts';
import { isZero } from './zero-test.ts';

export type CopiedBlock = {
  index: number;
  /** Of the whole block, padded with zeros; null where it is all zeros, and was neither written nor cleared. */
  sha256: Uint8Array | null;
};

export type WrittenBlock = { index: number; bytes: Uint8Array; sha256: Uint8Array };

export type BlockCopy = {
  reader: Pick<DiskReader, 'readBlock'>;
  indexes: AsyncIterable<number>;
  lanes: number;
  /** Resolves when the block is durable. */
  write(block: WrittenBlock, signal: AbortSignal): Promise<void>;
  /** Where something may be that zeros must replace: resolves when the block is zeros. Left out: zeros are left out. */
  writeZeros?(block: WrittenBlock, signal: AbortSignal): Promise<void>;
  /** Called for each block that is durable, or that need not be. */
  onCopied(block: CopiedBlock): void;
  signal: AbortSignal;
};

/** The first failure stops all lanes; it is thrown when they stand still. */
export async function copyBlocks(copy: BlockCopy): Promise<void> {
  const failed = new AbortController();
  const indexes = copy.indexes[Symbol.asyncIterator]();
  const shared = { ...copy, signal: AbortSignal.any([copy.signal, failed.signal]) };
  const run = (): Promise<void> => runLane(shared, indexes).catch((error: unknown) => failed.abort(error));
  await Promise.all(Array.from({ length: copy.lanes }, run));
  await indexes.return?.();
  copy.signal.throwIfAborted();
  if (failed.signal.aborted) throw failed.signal.reason;
}

/** An async generator answers calls of `next` in turn, so lanes may share one. */
async function runLane(copy: BlockCopy, indexes: AsyncIterator<number>): Promise<void> {
  const { reader, write, writeZeros, onCopied, signal } = copy;
  // Made with the lane's first block: most disks have fewer blocks than there are lanes, or hold the same for long.
  let bytes: Buffer | null = null;
  for (;;) {
    signal.throwIfAborted();
    const { value: index, done } = await indexes.next();
    if (done) return;
    bytes ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    await reader.readBlock(index, bytes, signal);
    if (isZero(bytes)) {
      await writeZeros?.({ index, bytes, sha256: ZERO_BLOCK_SHA256 }, signal);
      onCopied({ index, sha256: writeZeros === undefined ? null : ZERO_BLOCK_SHA256 });
      continue;
    }
    const sha256 = sha256Of(bytes);
    await write({ index, bytes, sha256 }, signal);
    onCopied({ index, sha256 });
  }
}

/**
 * Stays in the processor's caches. A block that lies among 32 MiB of others does not, and hashing waits for memory: 0.47 ms
 * where it lies, 0.31 ms here, and 0.03 ms for the copy.
 */
const hashed = Buffer.allocUnsafeSlow(BLOCK_BYTES);

function sha256Of(block: Buffer): Buffer {
  block.copy(hashed);
  return hash('sha256', hashed, 'buffer');
}
