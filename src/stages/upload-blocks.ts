/**
 * Uploads a disk as blocks, in any order. What the digest ledger knows is held, unless the target says that it is not,
 * and neither read nor sent again.
 *
 * Memory: `offeredAtOnce` × 512 KiB, and 4 KiB of digests for every 64 MiB of disk that holds data.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ZERO_BLOCK_SHA256 } from '../blocks/digest-tree.ts';
import type { DiskReader } from '../blocks/disk-reader.ts';
import { formatBytes } from '../domain/byte-size.ts';
import type { Artifact } from '../domain/landing.ts';
import type { BlockSink, StepContext } from '../domain/ports.ts';
import { copyMissing } from './copy-missing.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { DigestLedger } from './digest-ledger.ts';
import { type LaterPass, mergeTrees } from './later-pass.ts';

export type BlocksUpload = {
  disk: string;
  sink: BlockSink;
  reader: DiskReader;
  /** Of a later pass: only of what that pass copied. */
  digests: DigestLedger;
  /** null: the full copy. */
  laterPass: LaterPass | null;
  progress: CopyProgress;
  context: StepContext;
  signal: AbortSignal;
  /** Must pass before the upload is declared complete: throws where the source changed. */
  checkSource(): Promise<void>;
};

export async function uploadBlocks(upload: BlocksUpload): Promise<Artifact> {
  const { disk, sink, reader, digests, laterPass, progress, context, signal } = upload;
  await forgetMissing(upload);
  if (laterPass !== null) progress.expect(await laterPass.countDirtyBytes(signal));
  const heldBytes = digests.knownBytes();
  progress.hold(heldBytes);
  if (heldBytes > 0)
    context.log('info', `Upload of disk ${disk} goes on: the target holds ${formatBytes(heldBytes)} of it.`, {
      disk,
      heldBytes,
    });
  const write: BlockSink['writeBlock'] = async (block, until) => {
    await context.bandwidth.take(block.bytes.length, until);
    await sink.writeBlock(block, until);
  };
  await copyMissing({
    reader,
    digests,
    lanes: sink.offeredAtOnce,
    write,
    ...(laterPass === null
      ? {}
      : {
          candidates: laterPass.dirtyBlocks,
          writeZeros: (block, until) => sink.clearBlock?.(block.index, until) ?? write(block, until),
        }),
    progress,
    signal,
  });
  await upload.checkSource();
  const written = await digests.tree.linear();
  if (laterPass === null) return await sink.finish(written);
  const whole = await mergeTrees(laterPass.before, digests.tree);
  return await sink.finish({ ...written, whole: await whole.linear() });
}

/** Looking at so many blocks takes some milliseconds. */
const BLOCKS_PER_TURN = 65_536;

/** A target that lost what it acknowledged (a storage that was set back, a hand that cleared it) is believed at once. */
async function forgetMissing({ disk, sink, digests, context, signal }: BlocksUpload): Promise<void> {
  if (sink.isHeld === undefined) return;
  let looked = 0;
  let missing = 0;
  for (const index of digests.tree.heldBlocks()) {
    looked += 1;
    if (looked % BLOCKS_PER_TURN === 0) await nextTurn(undefined, { signal });
    const isZero = digests.tree.get(index)?.equals(ZERO_BLOCK_SHA256) === true;
    if (sink.isHeld(index) !== isZero) continue;
    digests.set(index, null);
    missing += 1;
  }
  if (missing === 0) return;
  const message = `The target no longer holds ${missing} of the blocks of disk ${disk} that it had acknowledged: they are sent again.`;
  context.log('warn', message, { disk, missing });
}
