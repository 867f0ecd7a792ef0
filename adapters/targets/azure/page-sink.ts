/**
 * A disk on its way into a managed disk, by direct upload: no storage account, no image file. Azure takes a fixed VHD; the
 * disk's blocks are its pages, and its footer, 512 bytes after them, is written last.
 *
 *   intended ──► content noted ──► disk made ──► pages ──► verified, digest noted ──► footer, noted ──► access revoked ──► done
 *      │  an answer was lost: the disk is found by its name and tag, whatever state it is in
 *      │  ActiveUpload of an earlier try: taken over; what Azure holds of it is not sent again
 *      ├── begun from another content: deleted, discarded, begun anew
 *      └── deleted by somebody, or its access revoked half-way: failed, begun anew
 *
 * Of several passes all write into the same disk, which stays in ActiveUpload between them: a later one writes what
 * changed and clears what became zeros, and only the last writes the footer and revokes the access. A pass that was begun
 * from another content cannot be begun anew: nobody knows what it changed, so the disk is to be copied afresh.
 *
 * A zombie of an earlier try may still write: the same bytes in the same places, since the content is the same.
 */
import type { Disk } from '@azure/arm-compute';
import { createAdaptiveLimit } from '../../../src/blocks/adaptive-limit.ts';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { BlockSink, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import { vhdFooter } from '../../../src/images/vhd-footer.ts';
import type { Azure } from './clients.ts';
import {
  checkDisk,
  createDisk,
  type DiskUpload,
  diskCall,
  diskName,
  findDisk,
  stateOf,
  virtualBytesFor,
} from './disk.ts';
import { removeDisk } from './disk-removal.ts';
import type { AzureCall } from './errors.ts';
import { type HeldBlocks, listHeldBlocks } from './held-blocks.ts';
import { openChecksums } from './page-checksum.ts';
import { asPageError } from './page-refusal.ts';
import { createPageWriter, MAX_BLOCKS_AT_ONCE, type PageWriter } from './page-writer.ts';
import { type DiskAccess, grantWrite, openAccess, revokeAccess } from './sas.ts';
import { forgetSnapshot, takeSnapshot } from './snapshot.ts';

export const DISK_KIND = 'azure-disk';

/**
 * The 64 blocks that callers wait with, in requests of 4 MiB each: with 16 at once they went in pieces of half of that,
 * for 15 % more CPU and no more bytes under way. 8 × 4 MiB in 60 ms are the 500 MB/s of the fastest disks.
 * https://learn.microsoft.com/azure/virtual-machines/disks-types
 */
const MAX_REQUESTS_AT_ONCE = 8;
const FIRST_REQUESTS_AT_ONCE = 4;

type Written = Parameters<BlockSink['finish']>[0];

export async function openPageSink(
  azure: Azure,
  request: UploadRequest,
  context: StepContext,
  options: { accessSeconds?: number } = {},
): Promise<BlockSink> {
  const entry = await context.ledger.intend(`disk:${request.disk}`);
  const upload: DiskUpload = { azure, request, context, entry };
  const { contentId, diskId, linearSha256, footerWritten } = entry.ref ?? {};
  const anew = async (state: 'discarded' | 'failed', message: string): Promise<BlockSink> => {
    context.log('warn', message, { disk: request.disk });
    await forgetSnapshot(upload);
    await removeDisk(azure, diskName(entry), { run: context.run, signal: context.signal });
    await context.ledger.settle(entry, state);
    return openPageSink(azure, request, context, options);
  };
  if (passNumber(request) > 0) return openLaterPass(upload, options);
  if (contentId !== undefined && contentId !== request.contentId)
    return anew('discarded', `Disk ${request.disk} changed since its upload began: it starts again.`);
  // Before anything is made: whoever finds the disk must know whose content is in it.
  if (contentId === undefined)
    upload.entry = await context.ledger.settle(entry, 'intended', { contentId: request.contentId });
  const found = await findDisk(azure, diskName(entry), context.signal);
  if (found !== null) checkDisk(upload, found);
  const state = stateOf(found);
  switch (state) {
    case 'open':
      return takeUp(upload, found as Disk, options);
    case 'ended':
      if (typeof linearSha256 === 'string' && (footerWritten === true || entry.state === 'done'))
        return finishedSink(upload, found as Disk);
      return anew(
        'failed',
        `Somebody revoked the access by which disk ${request.disk} was uploaded, which ended the upload half-way: it starts again.`,
      );
    case 'gone':
      if (diskId === undefined) return takeUp(upload, await createDisk(upload), options);
      return anew('failed', `The disk of the upload of disk ${request.disk} was deleted: it starts again.`);
    case 'unknown':
      throw notKnown(upload);
    default:
      return state satisfies never;
  }
}

/** Only into the disk that the pass before left as it should be. */
async function openLaterPass(upload: DiskUpload, options: { accessSeconds?: number }): Promise<BlockSink> {
  const { azure, request, context, entry } = upload;
  const { contentId, pass = 0, wholePass, footerWritten } = entry.ref ?? {};
  const number = passNumber(request);
  const isBegun = pass === number;
  if (isBegun && contentId !== request.contentId) throw notAgain(upload, 'it changed since that pass began');
  if (!isBegun && wholePass !== number - 1) throw notAgain(upload, 'the pass before did not end');
  const found = await findDisk(azure, diskName(entry), context.signal);
  if (found === null) throw notAgain(upload, 'its disk was deleted');
  checkDisk(upload, found);
  const state = stateOf(found);
  if (state === 'unknown') throw notKnown(upload);
  if (state === 'ended' && isBegun && (footerWritten === true || entry.state === 'done'))
    return finishedSink(upload, found);
  if (state !== 'open') throw notAgain(upload, 'somebody revoked the access by which it is uploaded');
  // Before anything is changed: whoever opens it must know that it is no longer as the pass before left it.
  if (!isBegun)
    upload.entry = await context.ledger.settle(entry, 'intended', {
      contentId: request.contentId,
      pass: number,
    });
  return takeUp(upload, found, options);
}

function passNumber({ pass }: UploadRequest): number {
  return pass?.number ?? 0;
}

function isLastPass({ pass }: UploadRequest): boolean {
  return pass?.isLast ?? true;
}

function notAgain({ request, context }: DiskUpload, reason: string): LandfallError {
  const { run, machine } = context;
  return new LandfallError({
    code: 'target-refused',
    message: `Pass ${passNumber(request)} of ${machine} disk ${request.disk} cannot go on: ${reason}. \`landfall discard ${run} ${machine}\`, then \`landfall retry ${run} ${machine}\` copies it afresh.`,
    context: { disk: request.disk, pass: passNumber(request) },
  });
}

type Transfer = {
  upload: DiskUpload;
  disk: Disk;
  access: DiskAccess;
  writer: PageWriter;
};

async function takeUp(
  upload: DiskUpload,
  disk: Disk,
  { accessSeconds }: { accessSeconds?: number },
): Promise<BlockSink> {
  const { azure, request, context, entry } = upload;
  const { id: diskId = '', uniqueId = '' } = disk;
  if (entry.ref?.diskId === undefined)
    upload.entry = await context.ledger.settle(entry, 'intended', { diskId, name: diskName(entry) });
  const limit = createAdaptiveLimit({ start: FIRST_REQUESTS_AT_ONCE, max: MAX_REQUESTS_AT_ONCE });
  const doing = `Uploading ${context.machine} disk ${request.disk}`;
  const grant = { name: diskName(entry), doing, signal: context.signal };
  const access = openAccess({
    grantFor: (seconds) => grantWrite(azure, { ...grant, accessSeconds: seconds }),
    onThrottled: limit.throttled,
    ...(accessSeconds === undefined ? {} : { accessSeconds }),
  });
  const checksums = await openChecksums(context, request.disk);
  const describe = (offsetBytes: number): AzureCall => pageCall(upload, offsetBytes);
  const writer = createPageWriter({ access, checksums, limit, signal: context.signal, describe });
  const transfer: Transfer = { upload, disk, access, writer };
  // A new disk holds nothing: nobody need ask.
  const held = disk.diskState === 'ReadyToUpload' ? null : await listHeld(transfer);
  // The end of a pass after which others come changes nothing at Azure.
  const isWhole = !isLastPass(request) && upload.entry.ref?.wholePass === passNumber(request);
  let finished = isWhole ? await artifactOf(upload, disk) : null;
  return {
    kind: 'blocks',
    id: uniqueId,
    blockBytes: BLOCK_BYTES,
    offeredAtOnce: MAX_BLOCKS_AT_ONCE,
    finished,
    isHeld: (index) => held?.has(index) ?? false,
    writeBlock: writer.writeBlock,
    clearBlock: writer.clearBlock,
    finish: async (written) => {
      finished ??= await endUpload(transfer, written);
      return finished;
    },
  };
}

async function finishedSink(upload: DiskUpload, disk: Disk): Promise<BlockSink> {
  const { context, entry } = upload;
  const artifact = await artifactOf(upload, disk);
  if (entry.state !== 'done') await context.ledger.settle(entry, 'done');
  return {
    kind: 'blocks',
    id: disk.uniqueId ?? '',
    blockBytes: BLOCK_BYTES,
    offeredAtOnce: MAX_BLOCKS_AT_ONCE,
    finished: artifact,
    writeBlock: async ({ index }) => {
      throw new TypeError(`block ${index} of a finished disk`);
    },
    finish: async () => artifact,
  };
}

/** The footer says that all is there, and revoking ends the upload: neither before Azure's own list is what was sent. */
async function endUpload(transfer: Transfer, written: Written): Promise<Artifact> {
  const { blockCount, linearSha256 } = written.whole ?? written;
  const { upload, disk } = transfer;
  const { azure, request, context } = upload;
  checkHeld(upload, { held: await listHeld(transfer), blockCount });
  // Refuses a stale lease before anything ends.
  const noted = { linearSha256: Buffer.from(linearSha256).toString('hex'), blockCount };
  upload.entry = await context.ledger.settle(upload.entry, 'intended', noted);
  if (!isLastPass(request)) {
    upload.entry = await context.ledger.settle(upload.entry, 'intended', { wholePass: passNumber(request) });
    return await artifactOf(upload, disk);
  }
  await writeFooter(transfer);
  // Whoever finds the disk ended may take it for whole from here on, and not before.
  upload.entry = await context.ledger.settle(upload.entry, 'intended', { footerWritten: true });
  const name = diskName(upload.entry);
  await revokeAccess(azure, {
    name,
    doing: `Ending the upload of ${context.machine} disk ${request.disk}`,
    signal: context.signal,
  });
  const ended = await findDisk(azure, name, context.signal);
  if (ended === null || stateOf(ended) !== 'ended') throw notEnded(upload, ended);
  const artifact = await artifactOf(upload, { ...disk, ...ended });
  upload.entry = await context.ledger.settle(upload.entry, 'done');
  return artifact;
}

async function writeFooter({ upload: { request, context, entry }, writer }: Transfer): Promise<void> {
  const virtualBytes = virtualBytesFor(request);
  const footer = vhdFooter({ diskBytes: virtualBytes, identity: entry.token });
  await writer.writePages({ offsetBytes: virtualBytes, pieces: [footer] }, context.signal);
}

async function listHeld({ upload, access }: Transfer): Promise<HeldBlocks> {
  const { azure, request, context, entry } = upload;
  const doing = `Asking what is held of ${context.machine} disk ${request.disk}`;
  const call = {
    ...diskCall(azure, { doing, action: '', name: diskName(entry) }),
    action: 'Get Page Ranges',
  };
  const list = { lengthBytes: virtualBytesFor(request), signal: context.signal };
  try {
    return await access.use((pages) => listHeldBlocks(pages, list));
  } catch (error) {
    throw asPageError(call, error);
  }
}

function checkHeld(
  { request, context, entry }: DiskUpload,
  { held, blockCount }: { held: HeldBlocks; blockCount: number },
): void {
  if (held.count === blockCount && held.strayAt === null) return;
  const found =
    held.strayAt === null
      ? `${held.count} blocks where ${blockCount} were sent`
      : `bytes at ${held.strayAt} that were never sent so`;
  // What an earlier pass sent is not known to be missing by a later one.
  const isSentAgain = held.count < blockCount && held.strayAt === null && passNumber(request) === 0;
  throw new LandfallError({
    code: 'target-refused',
    retryable: isSentAgain,
    message: `The disk ${diskName(entry)} of ${context.machine} disk ${request.disk} holds ${found}. ${isSentAgain ? 'What is missing is sent again.' : `Somebody else wrote to it: \`landfall discard ${context.run} ${context.machine}\`, then retry it.`}`,
    context: { heldBlocks: held.count, sentBlocks: blockCount },
  });
}

async function artifactOf(upload: DiskUpload, disk: Disk): Promise<Artifact> {
  const { azure, request, entry } = upload;
  const { linearSha256, blockCount } = entry.ref ?? {};
  const { id: diskId = '' } = disk;
  return {
    disk: request.disk,
    kind: DISK_KIND,
    container: null,
    bytes: Number(blockCount ?? 0) * BLOCK_BYTES,
    ref: {
      diskId,
      name: diskName(entry),
      ...(azure.options.keepSnapshots && isLastPass(request)
        ? { snapshot: await takeSnapshot(upload, disk) }
        : {}),
    },
    // Azure has no digest of what it holds: it checked each request's, and lists the places.
    digests:
      typeof linearSha256 === 'string' && Number(blockCount) > 0
        ? [{ algorithm: 'sha256-linear', value: linearSha256, isConfirmed: false }]
        : [],
  };
}

function pageCall({ azure, request, context, entry }: DiskUpload, offsetBytes: number): AzureCall {
  const { resourceGroup } = azure.options;
  const place =
    offsetBytes === virtualBytesFor(request)
      ? 'the footer'
      : `block ${offsetBytes / BLOCK_BYTES} (at byte ${offsetBytes})`;
  return {
    doing: `Writing ${place} of ${context.machine} disk ${request.disk}`,
    action: 'Put Page',
    resource: `disk ${diskName(entry)} in ${resourceGroup}`,
  };
}

function notKnown({ request, context, entry }: DiskUpload): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `Azure tells no state of the disk ${diskName(entry)} of ${context.machine} disk ${request.disk} yet: it is still being made. It is tried again.`,
  });
}

function notEnded({ request, context, entry }: DiskUpload, disk: Disk | null): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `The disk ${diskName(entry)} of ${context.machine} disk ${request.disk} is ${disk === null ? 'gone' : `still ${disk.diskState}`} after its upload was ended. It is tried again.`,
  });
}
