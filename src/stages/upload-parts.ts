/**
 * Uploads a disk as a file that is made while the disk is read: blocks are packed on worker threads, put in order, cut
 * into parts, and several parts are sent at once. What the target holds counts as far as it is an unbroken run from the
 * first part: that is what another attempt can go on from.
 *
 * What a kill costs: parts under way, and those that were acknowledged before their turn; 8 parts at most.
 *
 * Memory: parts under way and one that is filled, each at most 1 MiB longer than `partBytes`: (4 + 1) × 9 MiB for disks
 * whose file needs no more than 8 MiB a part; fewer at once where parts are longer; beside what is being packed.
 */
import type { DiskReader } from '../blocks/disk-reader.ts';
import { type EncodedPart, encodeParts, type PartEnd } from '../blocks/encode-parts.ts';
import { packBlocks } from '../blocks/pack-blocks.ts';
import type { Container } from '../domain/image.ts';
import type { Artifact } from '../domain/landing.ts';
import type { PartSink, StepContext } from '../domain/ports.ts';
import { openBlockPacker } from '../images/block-packer.ts';
import { createStreamEncoder } from '../images/stream-encoder.ts';
import type { CopyProgress } from './copy-progress.ts';
import type { DigestLedger } from './digest-ledger.ts';
import { digestMissing } from './digest-missing.ts';
import { type KnownPart, openPartLedger, type PartLedger } from './part-ledger.ts';

export type PartsUpload = {
  disk: string;
  container: Container;
  sink: PartSink;
  reader: DiskReader;
  contentId: string;
  digests: DigestLedger;
  progress: CopyProgress;
  context: StepContext;
  signal: AbortSignal;
  /** Must pass before the parts are put together: throws where the source changed. */
  checkSource(): Promise<void>;
};

const PARTS_AT_ONCE = 4;
/** One part that is slow lets the others overtake it by so much, no more: they are sent again after a kill. */
export const MAX_UNSAVED_PARTS = 2 * PARTS_AT_ONCE;
/** Parts that are under way share it; one is always allowed. */
const PARTS_BUDGET_BYTES = 64 * 2 ** 20;

export async function uploadParts(upload: PartsUpload): Promise<Artifact> {
  const { sink } = upload;
  const ledger = await openLedger(upload);
  const left = keptParts(upload, ledger);
  upload.progress.hold(left?.end.readBytes ?? 0);
  const { parts, dataBlocks } = await sendParts({ ...upload, ledger, left });
  // Redis can lose its last second while this process goes on: digests of blocks that no attempt reads again.
  if (upload.digests.tree.countHeld() < dataBlocks) await digestMissing(upload);
  await upload.checkSource();
  return await sink.finish(parts);
}

/** Once the artifact stands, whichever attempt finished it. */
export async function forgetParts({ sink, context, disk, contentId }: PartsOf): Promise<void> {
  await (await openLedger({ sink, context, disk, contentId })).clear();
}

type PartsOf = Pick<PartsUpload, 'disk' | 'sink' | 'contentId' | 'context'>;

function openLedger({ sink, context: { checkpoints }, disk, contentId }: PartsOf): Promise<PartLedger> {
  return openPartLedger({ checkpoints, disk, identity: { upload: sink.id, contentId } });
}

type Left = { parts: readonly KnownPart[]; end: PartEnd } | null;
type Sending = PartsUpload & { ledger: PartLedger; left: Left };

/** What the target holds and the ledger knows alike; nothing of it where a single part differs. */
function keptParts({ sink, disk, context }: PartsUpload, { left }: PartLedger): Left {
  if (left === null) {
    if (sink.held.size > 0) {
      const message = `Upload of disk ${disk} starts again: the target holds parts of it, and how to go on after them is not known.`;
      context.log('warn', message, { disk, heldParts: sink.held.size });
    }
    return null;
  }
  const differing = left.parts.findIndex((part, index) => !isHeld(part, sink.held.get(index + 1)));
  if (differing !== -1) {
    const message = `Upload of disk ${disk} starts again: part ${differing + 1} of ${left.parts.length} is not held as it was acknowledged.`;
    context.log('warn', message, { disk, part: differing + 1 });
    return null;
  }
  const message = `Upload of disk ${disk} goes on after ${left.parts.length} parts that the target holds.`;
  context.log('info', message, { disk, heldParts: left.parts.length });
  return left;
}

function isHeld(
  known: KnownPart,
  held: PartSink['held'] extends ReadonlyMap<number, infer P> ? P | undefined : never,
): boolean {
  if (held === undefined || held.bytes !== known.bytes) return false;
  // An ETag can be new with each write of the same bytes (S3: encryption by KMS); a checksum is told by most servers.
  return held.crc32 === null ? held.etag === known.etag : held.crc32 === known.crc32;
}

type Sent = { parts: readonly KnownPart[]; dataBlocks: number };

async function sendParts(sending: Sending): Promise<Sent> {
  const { left, reader, sink, digests, container, signal } = sending;
  const diskBytes = reader.bytes;
  const snapshot = left?.end.snapshot;
  const encoder = createStreamEncoder({
    container,
    identity: sink.id,
    diskBytes,
    ...(snapshot === undefined ? {} : { snapshot }),
  });
  await using packer = await openBlockPacker({ container, diskBytes });
  await using row = createAcknowledgedRow(sending);
  const indexes = reader.dataBlocks(encoder.nextBlock, row.signal);
  const blocks = packBlocks({ reader, packer, indexes, signal: row.signal });
  const encoded = encodeParts({
    encoder,
    diskBytes,
    blocks,
    from: left === null ? null : { number: left.parts.length, ...left.end },
    partBytes: (number) => sink.partBytes(number),
    onBlock: ({ index, sha256 }) => digests.set(index, sha256),
  });
  for await (const part of encoded) await row.send(part);
  signal.throwIfAborted();
  return await row.finish();
}

/**
 * Parts under way. They are acknowledged in any order; once those before a part are held as well, it is saved and counts.
 */
function createAcknowledgedRow({ sink, ledger, left, digests, progress, context, signal }: Sending) {
  const failed = new AbortController();
  const whileWell = AbortSignal.any([signal, failed.signal]);
  const parts: KnownPart[] = [...(left?.parts ?? [])];
  let dataBlocks = left?.end.dataBlocks ?? 0;
  const ahead = new Map<number, { part: KnownPart; end: PartEnd }>();
  const underWay = new Set<Promise<void>>();
  let saving = Promise.resolve();

  const saveRow = async (): Promise<void> => {
    let end: PartEnd | null = null;
    for (let next = ahead.get(parts.length + 1); next !== undefined; next = ahead.get(parts.length + 1)) {
      ahead.delete(parts.length + 1);
      parts.push(next.part);
      end = next.end;
    }
    if (end === null) return;
    // The digests first: the state after them is what makes a successor trust that they are there.
    await digests.save();
    await ledger.save(parts, end);
    progress.hold(end.readBytes);
    dataBlocks = end.dataBlocks;
  };
  const sendOne = async ({ number, bytes, crc32, after, release }: EncodedPart): Promise<void> => {
    await context.bandwidth.take(bytes.length, whileWell);
    const held = await sink.writePart({ number, bytes, crc32 }, whileWell);
    release();
    ahead.set(number, { part: { ...held, crc32 }, end: after });
    saving = saving.then(saveRow);
    await saving;
  };
  const settle = (): Promise<unknown> => Promise.allSettled(underWay);
  return {
    signal: whileWell,
    /** Resolves when there is room for the next part. */
    async send(part: EncodedPart): Promise<void> {
      const sent = sendOne(part).catch((error: unknown) => failed.abort(error));
      underWay.add(sent);
      void sent.finally(() => underWay.delete(sent));
      const atOnce = partsAtOnce(sink.partBytes(part.number));
      while (underWay.size >= atOnce || underWay.size + ahead.size >= MAX_UNSAVED_PARTS) {
        await Promise.race(underWay);
        whileWell.throwIfAborted();
      }
    },
    async finish(): Promise<Sent> {
      await settle();
      whileWell.throwIfAborted();
      return { parts, dataBlocks };
    },
    async [Symbol.asyncDispose]() {
      failed.abort();
      await settle();
    },
  };
}

function partsAtOnce(partBytes: number): number {
  return Math.min(PARTS_AT_ONCE, Math.max(1, Math.floor(PARTS_BUDGET_BYTES / partBytes)));
}
