/**
 * Reads what a landing was made of: the snapshots of its disks, which were taken before it first booted.
 * https://learn.microsoft.com/rest/api/storageservices/get-blob
 */
import type { PageBlobClient } from '@azure/storage-blob';
import { createAdaptiveLimit } from '../../../src/blocks/adaptive-limit.ts';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Landing } from '../../../src/domain/landing.ts';
import type { Machine } from '../../../src/domain/machine.ts';
import type { LandedDisk } from '../../../src/domain/ports.ts';
import { VHD_FOOTER_BYTES } from '../../../src/images/vhd-footer.ts';
import type { Azure } from './clients.ts';
import type { AzureCall } from './errors.ts';
import { listPageExtents } from './held-blocks.ts';
import { asPageError } from './page-refusal.ts';
import { type DiskAccess, openAccess } from './sas.ts';
import { endRead, grantRead } from './snapshot.ts';

const MAX_READS_AT_ONCE = 32;
const FIRST_READS_AT_ONCE = 8;
/** Whole blocks: 32 Ki of them, in some requests; a disk of 32 TiB takes 2048 windows. */
const LIST_WINDOW_BYTES = 16 * 2 ** 30;
const END_TIMEOUT_MS = 30_000;

/** Throws `target-missing` where the wave keeps no snapshots. */
export async function openLandedDisk(
  azure: Azure,
  { landing, machine, disk }: { landing: Landing; machine: Machine; disk: string },
  signal: AbortSignal,
): Promise<LandedDisk> {
  const what = `${machine.name} disk ${disk}`;
  const name = snapshotOf(landing, disk);
  if (name === null) throw noSnapshot(what);
  const resource = `snapshot ${name} in ${azure.options.resourceGroup}`;
  const limit = createAdaptiveLimit({ start: FIRST_READS_AT_ONCE, max: MAX_READS_AT_ONCE });
  const grant = { name, doing: `Reading back ${what}`, signal };
  const access = openAccess({
    grantFor: (accessSeconds) => grantRead(azure, { ...grant, accessSeconds }),
    onThrottled: limit.throttled,
  });
  const call = (doing: string, action: string): AzureCall => ({ doing, action, resource });
  const asking = call(`Asking for the size of ${what}`, 'Get Blob Properties');
  const bytes = (await told(asking, () => access.use((pages) => lengthOf(pages, signal)))) - VHD_FOOTER_BYTES;
  return {
    bytes,
    blockBytes: BLOCK_BYTES,
    heldBlocks: (until) => {
      const listing = call(`Asking what is held of ${what}`, 'Get Page Ranges');
      return heldIndexes(access, { call: listing, lengthBytes: bytes, signal: until });
    },
    readBlock: (index, until) => {
      const at = index * BLOCK_BYTES;
      const reading = call(`Reading block ${index} (at byte ${at}) of ${what}`, 'Get Blob');
      const piece = { at, lengthBytes: Math.min(BLOCK_BYTES, bytes - at), signal: until };
      return told(reading, () => limit.run(() => access.use((pages) => readPages(pages, piece)), until));
    },
    // Another reader of the same snapshot loses its access with this one, and asks for it again.
    [Symbol.asyncDispose]: () => endRead(azure, name, AbortSignal.timeout(END_TIMEOUT_MS)),
  };
}

async function lengthOf(pages: PageBlobClient, signal: AbortSignal): Promise<number> {
  const { contentLength = 0 } = await pages.getProperties({ abortSignal: signal });
  return contentLength;
}

/** A window of the disk after another, so that what is known at once does not grow with the disk. */
async function* heldIndexes(
  access: DiskAccess,
  { call, lengthBytes, signal }: { call: AzureCall; lengthBytes: number; signal: AbortSignal },
): AsyncGenerator<number> {
  for (let startBytes = 0; startBytes < lengthBytes; startBytes += LIST_WINDOW_BYTES) {
    const list = { startBytes, lengthBytes: Math.min(lengthBytes, startBytes + LIST_WINDOW_BYTES), signal };
    const extents = await told(call, () =>
      access.use(async (pages) => Array.fromAsync(listPageExtents(pages, list))),
    );
    let next = 0;
    for (const { start, end } of extents) {
      next = Math.max(next, Math.floor(start / BLOCK_BYTES));
      for (; next * BLOCK_BYTES < end; next += 1) yield next;
    }
  }
}

async function readPages(
  pages: PageBlobClient,
  { at, lengthBytes, signal }: { at: number; lengthBytes: number; signal: AbortSignal },
): Promise<Buffer> {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (lengthBytes > 0)
    await pages.downloadToBuffer(block, at, lengthBytes, { abortSignal: signal, blockSize: BLOCK_BYTES });
  return block;
}

async function told<T>(call: AzureCall, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw asPageError(call, error);
  }
}

function snapshotOf({ ref }: Landing, disk: string): string | null {
  const { snapshots } = ref;
  if (snapshots === undefined) return null;
  if (typeof snapshots !== 'object' || snapshots === null || Array.isArray(snapshots))
    throw new LandfallError({
      code: 'internal',
      message: 'The landing names its snapshots in no way that is known.',
    });
  const name = snapshots[disk];
  return typeof name === 'string' ? name : null;
}

/** Azure lets nobody look into the disk of a running machine. */
function noSnapshot(what: string): LandfallError {
  return new LandfallError({
    code: 'target-missing',
    message: `The wave kept no snapshot of ${what}, and a disk is no longer what was uploaded once its machine has booted. Set \`keepSnapshots: true\` under \`target: azure:\` in the wave for what lands from now on; a run that has begun keeps the wave it began with.`,
    context: { disk: what },
  });
}
