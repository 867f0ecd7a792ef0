/** A disk's content in blocks of 512 KiB, read over NBD: which blocks may hold data, and what is in them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenImage } from '../domain/image.ts';
import { ALLOCATION_CONTEXT, type BlockRun, readExtents, streamBlockRuns } from './extents.ts';
import { openNbd } from './nbd-client.ts';
import { NbdRequestError } from './nbd-error.ts';
import { BLOCK_BYTES } from './stream-encoder.ts';

export type DiskReader = AsyncDisposable & {
  bytes: number;
  blockCount: number;
  /** Ascending indexes of the blocks that may hold data, as the source tells: allocated ones can still be zeros. */
  dataBlocks(fromBlock: number, signal: AbortSignal): AsyncGenerator<number>;
  /** The bytes of all these blocks; `onRun` hears of them, ascending. */
  countDataBytes(signal: AbortSignal, onRun?: (run: BlockRun) => void): Promise<number>;
  /** Fills `into` (BLOCK_BYTES) with a block, padded with zeros after the end of the disk. */
  readBlock(index: number, into: Uint8Array, signal: AbortSignal): Promise<void>;
};

/** A server that fails a read may have met a path that is just failing over: 0.1 + 0.5 + 2 s bridge that. */
const RETRY_DELAYS_MS = [100, 500, 2_000];

/** Throws what `openNbd` throws. A read that fails again and again is told with its offset. */
export async function openDiskReader(
  image: Pick<OpenImage, 'uri'>,
  signal: AbortSignal,
): Promise<DiskReader> {
  const client = await openNbd({ uri: image.uri, contexts: [ALLOCATION_CONTEXT], signal });
  const { bytes } = client;
  const dataRuns = (firstBlock: number, until: AbortSignal): AsyncGenerator<BlockRun> => {
    const extents = readExtents(client, { fromBytes: firstBlock * BLOCK_BYTES, signal: until });
    return streamBlockRuns(extents, { blockBytes: BLOCK_BYTES, firstBlock });
  };
  return {
    bytes,
    blockCount: Math.ceil(bytes / BLOCK_BYTES),
    dataBlocks: async function* (fromBlock, until) {
      for await (const { from, end } of dataRuns(fromBlock, until))
        for (let index = from; index < end; index += 1) yield index;
    },
    async countDataBytes(until, onRun = () => {}) {
      let dataBytes = 0;
      for await (const run of dataRuns(0, until)) {
        dataBytes += Math.min(run.end * BLOCK_BYTES, bytes) - run.from * BLOCK_BYTES;
        onRun(run);
      }
      return dataBytes;
    },
    async readBlock(index, into, until) {
      const offsetBytes = index * BLOCK_BYTES;
      const lengthBytes = Math.min(BLOCK_BYTES, bytes - offsetBytes);
      await retried(until, () => client.read({ offsetBytes, into: into.subarray(0, lengthBytes) }, until));
      into.fill(0, lengthBytes);
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** How many bytes of the disk a block holds: all but the last are whole. */
export function bytesOfBlock(index: number, diskBytes: number): number {
  return Math.min(BLOCK_BYTES, diskBytes - index * BLOCK_BYTES);
}

async function retried(signal: AbortSignal, read: () => Promise<void>): Promise<void> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof NbdRequestError) || !error.retryable) throw error;
      await sleep(delayMs, undefined, { signal });
    }
  }
  return await read();
}
