/**
 * A pass after the full copy carries what changed since the one before, into the same artifact. Of blocks that the source
 * calls dirty, those that are zeros now are cleared at the target, holes or not. The digest tree of the whole disk is
 * that of the pass before with this pass's digests laid over it: nothing is read again for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createDigestTree, type DigestTree, ZERO_BLOCK_SHA256 } from '../blocks/digest-tree.ts';
import { bytesOfBlock } from '../blocks/disk-reader.ts';
import { type Extent, streamBlockRuns } from '../blocks/extents.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import type { DirtyExtent, OpenImage } from '../domain/image.ts';
import type { UploadPass } from '../domain/ports.ts';
import { readKeptTree } from './kept-digest-tree.ts';
import { missing, type StepInput } from './step-input.ts';

/** Slices of some milliseconds. */
const PAGES_PER_TURN = 1_024;
const BLOCKS_PER_TURN = 16_384;

export type LaterPass = {
  /** Of the disk as the pass before left it. */
  before: DigestTree;
  /** Ascending. */
  dirtyBlocks(signal: AbortSignal): AsyncIterable<number>;
  countDirtyBytes(signal: AbortSignal): Promise<number>;
};

/** What the target is told of this pass. */
export function passOf({ record, job }: StepInput, disk: string): UploadPass {
  const isLast = !Object.values(record.steps).some(
    (step) => step.stage === 'upload' && step.disk === disk && step.pass > job.pass,
  );
  if (job.pass === 0) return { number: 0, isLast, previous: null };
  const previous = record.artifacts[disk];
  if (previous === undefined) throw missing(record, `an artifact of the pass before of disk ${disk}`);
  return { number: job.pass, isLast, previous };
}

/** null for the full copy. */
export async function openLaterPass(
  { record, job, evidence, context }: StepInput,
  { disk, opened }: { disk: string; opened: Pick<OpenImage, 'bytes' | 'dirtyExtents'> },
): Promise<LaterPass | null> {
  if (job.pass === 0) return null;
  const before = await readKeptTree(evidence, { record, disk }, context.signal);
  if (before === null) throw missing(record, `a digest tree of the pass before of disk ${disk}`);
  const runs = (signal: AbortSignal) =>
    streamBlockRuns(dirtyData(opened, signal), { blockBytes: BLOCK_BYTES, firstBlock: 0 });
  return {
    before,
    dirtyBlocks: async function* (signal) {
      for await (const { from, end } of runs(signal))
        for (let index = from; index < end; index += 1) yield index;
    },
    async countDirtyBytes(signal) {
      let dirtyBytes = 0;
      for await (const { from, end } of runs(signal))
        dirtyBytes += (end - 1 - from) * BLOCK_BYTES + bytesOfBlock(end - 1, opened.bytes);
      return dirtyBytes;
    },
  };
}

/** `over` wins where it has a digest. Neither is changed. */
export async function mergeTrees(before: DigestTree, over: DigestTree): Promise<DigestTree> {
  const merged = createDigestTree({ diskBytes: over.diskBytes });
  for (let number = 0; number < before.pageCount; number += 1) {
    if (number % PAGES_PER_TURN === 0) await nextTurn();
    const page = before.page(number);
    if (page !== null) merged.setPage(number, page);
  }
  let laid = 0;
  for (const index of over.heldBlocks()) {
    laid += 1;
    if (laid % BLOCKS_PER_TURN === 0) await nextTurn();
    const sha256 = over.get(index);
    merged.set(index, sha256?.equals(ZERO_BLOCK_SHA256) === true ? null : sha256);
  }
  return merged;
}

async function* dirtyData(
  { bytes, dirtyExtents }: Pick<OpenImage, 'bytes' | 'dirtyExtents'>,
  signal: AbortSignal,
): AsyncGenerator<Extent> {
  const whole: DirtyExtent[] = bytes === 0 ? [] : [{ offsetBytes: 0, lengthBytes: bytes }];
  for await (const extent of dirtyExtents?.(signal) ?? whole) {
    const lengthBytes = Math.min(extent.lengthBytes, bytes - extent.offsetBytes);
    if (lengthBytes > 0) yield { offsetBytes: extent.offsetBytes, lengthBytes, kind: 'data' };
  }
}
