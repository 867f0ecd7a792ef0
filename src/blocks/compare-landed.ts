/** Reads a landed disk back and compares it with the digest tree of what was uploaded, block by block. */
import { hash } from 'node:crypto';
import type { LandedDisk } from '../domain/ports.ts';
import type { DigestTree } from './digest-tree.ts';
import { BLOCK_BYTES } from './stream-encoder.ts';
import { isZero } from './zero-test.ts';

export type LandedComparison = {
  comparedBytes: number;
  differingBlocks: number;
  /** Offsets in bytes of the first of these, ascending. */
  differingOffsets: readonly number[];
};

const LANES = 16;
const MAX_OFFSETS = 20;

export async function compareLanded(comparison: {
  landed: LandedDisk;
  tree: DigestTree;
  /** Called for each block that was compared, with the sum so far. */
  onProgress(comparedBytes: number): void;
  signal: AbortSignal;
}): Promise<LandedComparison> {
  const { landed, tree, onProgress, signal } = comparison;
  if (landed.blockBytes !== BLOCK_BYTES) throw new RangeError(`blocks of ${landed.blockBytes} bytes`);
  const failed = new AbortController();
  const until = AbortSignal.any([signal, failed.signal]);
  const differing: number[] = [];
  let comparedBytes = 0;
  const pairs = pairBlocks(landed, tree, until);
  const runLane = async (): Promise<void> => {
    for (;;) {
      const { value: pair, done } = await pairs.next();
      if (done) return;
      const isEqual = pair.isHeld ? await holdsLeaf(pair.index, comparison, until) : false;
      if (!isEqual) differing.push(pair.index * BLOCK_BYTES);
      comparedBytes += BLOCK_BYTES;
      onProgress(comparedBytes);
    }
  };
  await Promise.all(
    Array.from({ length: LANES }, () => runLane().catch((error: unknown) => failed.abort(error))),
  );
  until.throwIfAborted();
  differing.sort((a, b) => a - b);
  return {
    comparedBytes,
    differingBlocks: differing.length,
    differingOffsets: differing.slice(0, MAX_OFFSETS),
  };
}

/** Every block that has a digest or is held at the target, once: those with a digest must be held. */
async function* pairBlocks(
  landed: LandedDisk,
  tree: DigestTree,
  signal: AbortSignal,
): AsyncGenerator<{ index: number; isHeld: boolean }, void> {
  const leaves = tree.heldBlocks();
  let leaf = leaves.next();
  for await (const index of landed.heldBlocks(signal)) {
    for (; !leaf.done && leaf.value < index; leaf = leaves.next()) yield { index: leaf.value, isHeld: false };
    if (!leaf.done && leaf.value === index) leaf = leaves.next();
    yield { index, isHeld: true };
  }
  for (; !leaf.done; leaf = leaves.next()) yield { index: leaf.value, isHeld: false };
}

async function holdsLeaf(
  index: number,
  { landed, tree }: { landed: LandedDisk; tree: DigestTree },
  signal: AbortSignal,
): Promise<boolean> {
  const bytes = await landed.readBlock(index, signal);
  // A snapshot covers whole GiB: beyond the disk's end there must be zeros.
  const expected = index < tree.blockCount ? tree.get(index) : null;
  return expected === null ? isZero(bytes) : expected.equals(hash('sha256', bytes, 'buffer'));
}
