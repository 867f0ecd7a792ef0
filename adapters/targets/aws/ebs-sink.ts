/**
 * A disk on its way into an EBS snapshot, block by block (`via: ebs-direct`): no bucket, no role, no import task.
 *
 *   intended ──► content noted ──► snapshot open ──► linear digest noted ──► completing ──► done
 *      │  Start was not acknowledged: found by its tag, or by the client token
 *      │  Complete was not acknowledged: asked for again, by whoever opens it next
 *      ├── begun from another content: deleted, discarded, begun anew
 *      └── idle for too long, in error or gone: deleted, failed, begun anew
 *
 * A later pass is a snapshot of its own, with that of the pass before for its parent.
 *
 * AWS tells nobody which blocks it holds until the snapshot is complete: the caller keeps the digests of those that were
 * acknowledged. This sink keeps nothing for a block; the caller holds `offeredAtOnce` × 512 KiB (32 MiB).
 */
import { CompleteSnapshotCommand } from '@aws-sdk/client-ebs';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { BlockSink, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { createBlockWriter } from './ebs-blocks.ts';
import { EBS_BLOCK_BYTES, MAX_BLOCKS_AT_ONCE } from './ebs-client.ts';
import { SNAPSHOT_KIND } from './ebs-completion.ts';
import { blockCall, type DiskUpload, findOrStart, snapshotState, snapshotThing } from './ebs-snapshot.ts';
import { ask, awsCodeOf } from './errors.ts';
import { removeSnapshot } from './removal.ts';

type Written = Parameters<BlockSink['finish']>[0];

export async function openBlockSink(
  aws: Aws,
  request: UploadRequest,
  context: StepContext,
): Promise<BlockSink> {
  const entry = await context.ledger.intend(snapshotThing(request.disk, passNumber(request)));
  const upload: DiskUpload = { aws, request, context, entry };
  const { contentId, snapshotId } = entry.ref ?? {};
  const anew = () => openBlockSink(aws, request, context);
  if (contentId !== undefined && contentId !== request.contentId) {
    context.log('warn', `Disk ${request.disk} changed since its upload began: it starts again.`);
    await giveUp(upload, 'discarded');
    return anew();
  }
  if (typeof snapshotId !== 'string') return startSink(upload);
  const state = await snapshotState(upload, snapshotId);
  switch (state) {
    case 'lost': {
      const message = `The snapshot ${snapshotId} of disk ${request.disk} expired at AWS, or was deleted: its upload starts again.`;
      context.log('warn', message, { snapshotId });
      await giveUp(upload, 'failed');
      return anew();
    }
    case 'completed':
      return finishedSink(upload, snapshotId);
    case 'pending':
      return goOn(upload, snapshotId);
    default:
      return state satisfies never;
  }
}

async function goOn(upload: DiskUpload, snapshotId: string): Promise<BlockSink> {
  // AWS was asked to complete it and said that it will.
  if (upload.entry.state === 'done') return finishedSink(upload, snapshotId);
  const { linearSha256, blockCount } = upload.entry.ref ?? {};
  if (typeof linearSha256 !== 'string') return createSink(upload, snapshotId);
  // Every block is there, and AWS may take no more: whether it was asked, nobody knows.
  const written = { linearSha256: Buffer.from(linearSha256, 'hex'), blockCount: Number(blockCount) };
  await completeSnapshot(upload, snapshotId, written);
  return finishedSink(upload, snapshotId);
}

async function startSink(upload: DiskUpload): Promise<BlockSink> {
  const { context, request } = upload;
  // Before anything is started: whoever finds the snapshot must know whose content is in it.
  upload.entry = await context.ledger.settle(upload.entry, 'intended', { contentId: request.contentId });
  const snapshotId = await findOrStart(upload);
  upload.entry = await context.ledger.settle(upload.entry, 'intended', { snapshotId });
  return createSink(upload, snapshotId);
}

function passNumber({ pass }: UploadRequest): number {
  return pass?.number ?? 0;
}

/** Ends a snapshot under way too. */
async function giveUp({ aws, context, entry }: DiskUpload, state: 'discarded' | 'failed'): Promise<void> {
  const snapshotId = entry.ref?.snapshotId;
  const removal = { run: context.run, signal: context.signal };
  if (typeof snapshotId === 'string') await removeSnapshot(aws, snapshotId, removal);
  await context.ledger.settle(entry, state);
}

function createSink(upload: DiskUpload, snapshotId: string): BlockSink {
  let finished: Artifact | null = null;
  return {
    kind: 'blocks',
    id: snapshotId,
    blockBytes: EBS_BLOCK_BYTES,
    offeredAtOnce: MAX_BLOCKS_AT_ONCE,
    finished: null,
    writeBlock: createBlockWriter(upload, snapshotId),
    finish: async (written) => {
      finished ??= await completeSnapshot(upload, snapshotId, written);
      return finished;
    },
  };
}

async function finishedSink(upload: DiskUpload, snapshotId: string): Promise<BlockSink> {
  const { context, entry } = upload;
  const artifact = artifactOf(upload, snapshotId);
  if (entry.state !== 'done') await context.ledger.settle(entry, 'done');
  return {
    ...createSink(upload, snapshotId),
    finished: artifact,
    writeBlock: async ({ index }) => {
      throw new TypeError(`block ${index} of a finished snapshot`);
    },
    finish: async () => artifact,
  };
}

/** AWS compares its own digest of all blocks with ours, and completes the snapshot some time later. Idempotent. */
async function completeSnapshot(
  upload: DiskUpload,
  snapshotId: string,
  { blockCount, linearSha256 }: Written,
): Promise<Artifact> {
  const { aws, request, context } = upload;
  const noted = { linearSha256: Buffer.from(linearSha256).toString('hex'), blockCount };
  const wasAsked = upload.entry.ref?.linearSha256 === noted.linearSha256;
  // Refuses a stale lease before AWS is asked.
  upload.entry = await context.ledger.settle(upload.entry, 'intended', noted);
  const checksum = {
    Checksum: Buffer.from(linearSha256).toString('base64'),
    ChecksumAlgorithm: 'SHA256' as const,
    ChecksumAggregationMethod: 'LINEAR' as const,
  };
  const command = new CompleteSnapshotCommand({
    SnapshotId: snapshotId,
    ChangedBlocksCount: blockCount,
    // An empty disk has no block to check.
    ...(blockCount === 0 ? {} : checksum),
  });
  const doing = `Completing the snapshot of ${context.machine} disk ${request.disk}`;
  const call = blockCall(aws, { doing, action: 'ebs:CompleteSnapshot', snapshotId });
  try {
    await ask(call, () => aws.ebs.send(command, { abortSignal: context.signal }));
  } catch (error) {
    await checkRefusal(upload, { error, snapshotId, wasAsked });
  }
  upload.entry = await context.ledger.settle(upload.entry, 'done');
  return artifactOf(upload, snapshotId);
}

/** Passes where an earlier request for the same was served, of which the answer was lost. */
async function checkRefusal(
  upload: DiskUpload,
  { error, snapshotId, wasAsked }: { error: unknown; snapshotId: string; wasAsked: boolean },
): Promise<void> {
  if (!['ValidationException', 'ConflictException', 'ResourceNotFoundException'].includes(awsCodeOf(error)))
    throw error;
  const isRefuted = /checksum|count/i.test((error as Error).message);
  const state = await snapshotState(upload, snapshotId);
  if (state === 'completed') return;
  if (state === 'pending' && !isRefuted && (wasAsked || attemptsOf(error) > 1)) return;
  upload.context.signal.throwIfAborted();
  await giveUp(upload, 'failed');
  throw new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `${(error as Error).message} The snapshot ${snapshotId} does not hold what was sent, or expired at AWS: it was removed, and the upload starts again.`,
    cause: error,
    context: { snapshotId },
  });
}

function attemptsOf(error: unknown): number {
  const cause = (error as Error).cause as { $metadata?: { attempts?: number } } | undefined;
  return cause?.$metadata?.attempts ?? 1;
}

function artifactOf({ request, entry }: DiskUpload, snapshotId: string): Artifact {
  const { linearSha256, blockCount } = entry.ref ?? {};
  return {
    disk: request.disk,
    kind: SNAPSHOT_KIND,
    container: null,
    bytes: Number(blockCount ?? 0) * EBS_BLOCK_BYTES,
    ref: { snapshotId, ...(passNumber(request) === 0 ? {} : { pass: passNumber(request) }) },
    digests:
      typeof linearSha256 === 'string' && Number(blockCount) > 0
        ? [{ algorithm: 'sha256-linear', value: linearSha256, isConfirmed: true }]
        : [],
  };
}
