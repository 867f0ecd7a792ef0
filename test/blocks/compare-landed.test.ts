import { hash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { compareLanded } from '../../src/blocks/compare-landed.ts';
import { createDigestTree } from '../../src/blocks/digest-tree.ts';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { LandedDisk } from '../../src/domain/ports.ts';

const { signal } = new AbortController();
const DISK_BYTES = 10 * BLOCK_BYTES - 512;

function makeDisk(indexes: readonly number[]) {
  const held = new Map(indexes.map((index) => [index, randomBytes(BLOCK_BYTES)]));
  const tree = createDigestTree({ diskBytes: DISK_BYTES });
  for (const [index, bytes] of held) tree.set(index, hash('sha256', bytes, 'buffer'));
  const landed: LandedDisk = {
    bytes: DISK_BYTES,
    blockBytes: BLOCK_BYTES,
    heldBlocks: async function* () {
      yield* [...held.keys()].sort((a, b) => a - b);
    },
    readBlock: async (index) => held.get(index) ?? Buffer.alloc(BLOCK_BYTES),
    [Symbol.asyncDispose]: async () => {},
  };
  return { held, tree, landed };
}

it('finds a landed disk the same', async () => {
  const { tree, landed } = makeDisk([0, 3, 4, 9]);
  const progress: number[] = [];
  const onProgress = (bytes: number): void => void progress.push(bytes);
  expect(await compareLanded({ landed, tree, onProgress, signal })).toEqual({
    comparedBytes: 4 * BLOCK_BYTES,
    differingBlocks: 0,
    differingOffsets: [],
  });
  expect(progress).toEqual([1, 2, 3, 4].map((count) => count * BLOCK_BYTES));
});

it('names the offset of a byte that changed, of a block that is gone, and of one that should be zeros', async () => {
  const { held, tree, landed } = makeDisk([0, 3, 4, 9]);
  held.get(3)?.writeUInt8(((held.get(3)?.[77] ?? 0) + 1) % 256, 77);
  held.delete(4);
  held.set(7, randomBytes(BLOCK_BYTES));
  held.set(12, randomBytes(BLOCK_BYTES));
  const { differingBlocks, differingOffsets } = await compareLanded({
    landed,
    tree,
    onProgress: () => {},
    signal,
  });
  expect(differingBlocks).toBe(4);
  expect(differingOffsets).toEqual([3, 4, 7, 12].map((index) => index * BLOCK_BYTES));
});

it('takes a held block of zeros for what it is', async () => {
  const { held, tree, landed } = makeDisk([1]);
  held.set(5, Buffer.alloc(BLOCK_BYTES));
  expect((await compareLanded({ landed, tree, onProgress: () => {}, signal })).differingBlocks).toBe(0);
});

it('fails with the target, and stops when it is aborted', async () => {
  const { tree, landed } = makeDisk([1, 2]);
  const refusing = { ...landed, readBlock: () => Promise.reject(new Error('denied')) };
  await expect(compareLanded({ landed: refusing, tree, onProgress: () => {}, signal })).rejects.toThrow(
    'denied',
  );
  const stop = AbortSignal.abort(new Error('stopped'));
  await expect(compareLanded({ landed, tree, onProgress: () => {}, signal: stop })).rejects.toThrow(
    'stopped',
  );
});
