/**
 * Uploads a disk as blocks, in any order. What the digest ledger knows is held, unless the target says that it is not,
 * and neither read nor sent again.
 *
 * Memory: `offeredAtOnce` × 512 KiB, and 4 KiB of digests for every 64 MiB of disk that holds data.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DiskReader } from '../blocks/disk-reader.ts';
import { formatBytes } from '../domain/byte-size.ts';
import type { Artifact } from '../domain/landing.ts';
import type { BlockSink, StepContext } from '../domain/ports.ts';
import { copyMissing } from './copy-missing.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { DigestLedger } from './digest-ledger.ts';

export type BlocksUpload = {
  disk: string;
  sink: BlockSink;
  reader: DiskReader;
  digests: DigestLedger;
  progress: CopyProgress;
  context: StepContext;
  signal: AbortSignal;
  /** Must pass before the upload is declared complete: throws where the source changed. */
  checkSource(): Promise<void>;
};

export async function uploadBlocks(upload: BlocksUpload): Promise<Artifact> {
  const { disk, sink, reader, digests, progress, context, signal } = upload;
  await forgetMissing(upload);
  const heldBytes = digests.knownBytes();
  progress.hold(heldBytes);
  if (heldBytes > 0)
    context.log('info', `Upload of disk ${disk} goes on: the target holds ${formatBytes(heldBytes)} of it.`, {
      disk,
      heldBytes,
    });
  await copyMissing({
    reader,
    digests,
    lanes: sink.offeredAtOnce,
    async write(block, until) {
      await context.bandwidth.take(block.bytes.length, until);
      await sink.writeBlock(block, until);
    },
    progress,
    signal,
  });
  await upload.checkSource();
  return await sink.finish(await digests.tree.linear());
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
    if (sink.isHeld(index)) continue;
    digests.set(index, null);
    missing += 1;
  }
  if (missing === 0) return;
  const message = `The target no longer holds ${missing} of the blocks of disk ${disk} that it had acknowledged: they are sent again.`;
  context.log('warn', message, { disk, missing });
}
