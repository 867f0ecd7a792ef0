/**
 * Writes blocks as pages. Those that wait side by side go in one request of up to 4 MiB, the most that Put Page takes:
 * it costs 1.5 ms of CPU (loopback, one core of Node 24) where eight of 512 KiB cost 4.6 ms. None waits for a neighbour
 * to come: while requests are few, each block goes at once; when the limit is reached, blocks gather behind it.
 * https://learn.microsoft.com/rest/api/storageservices/put-page
 *
 * Blocks go to the socket as they are, one after the other, each when the one before is gone: 4 MiB put together and sent
 * as one cost the kernel and the copy 1 s a GiB more.
 *
 * Memory: what callers wait with (`MAX_BLOCKS_AT_ONCE` × 512 KiB).
 */
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PageBlobClient } from '@azure/storage-blob';
import type { AdaptiveLimit } from '../../../src/blocks/adaptive-limit.ts';
import { createSignalJoiner } from '../../../src/blocks/signal-joiner.ts';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import type { BlockSink } from '../../../src/domain/ports.ts';
import { type AzureCall, asAzureError } from './errors.ts';
import type { PageChecksums } from './page-checksum.ts';
import { asPageError } from './page-refusal.ts';
import type { DiskAccess } from './sas.ts';

export type PageWriter = {
  writeBlock: BlockSink['writeBlock'];
  clearBlock: NonNullable<BlockSink['clearBlock']>;
  /** One request, at any multiple of 512. */
  writePages(pages: { offsetBytes: number; pieces: readonly Buffer[] }, signal: AbortSignal): Promise<void>;
};

export type PageWriterOptions = {
  access: DiskAccess;
  checksums: PageChecksums;
  limit: AdaptiveLimit;
  /** Of the step; each write has one of its own, too. */
  signal: AbortSignal;
  /** "Writing block 7 (at byte 3670016) of web01 disk 0". */
  describe(offsetBytes: number): AzureCall;
};

export const MAX_BLOCKS_AT_ONCE = 64;
/** Eight of 512 KiB are 4 MiB. */
const MAX_BLOCKS_IN_REQUEST = 8;

type Waiting = {
  index: number;
  bytes: Buffer;
  signal: AbortSignal;
  isTaken: boolean;
  settled: PromiseWithResolvers<void>;
};

export function createPageWriter(options: PageWriterOptions): PageWriter {
  const { access, checksums, limit, describe } = options;
  const signalWith = createSignalJoiner(options.signal);
  const pace = createPace();
  /** By index; of two that wait for the same place, the second goes by itself. */
  const waiting = new Map<number, Waiting>();

  const writePages: PageWriter['writePages'] = async ({ offsetBytes, pieces }, signal) => {
    const call = describe(offsetBytes);
    const joined = signalWith(signal);
    try {
      await access.use((pages) => sendChecked(pages, { checksums, offsetBytes, pieces, signal: joined }));
    } catch (error) {
      throw asPageError(call, error);
    }
  };
  const sendRun = async (first: Waiting): Promise<void> => {
    const run = takeRun(waiting, first);
    try {
      await pace();
      const pieces = run.map(({ bytes }) => bytes);
      await writePages({ offsetBytes: (run[0] as Waiting).index * BLOCK_BYTES, pieces }, first.signal);
      limit.succeeded();
      for (const { settled } of run) settled.resolve();
    } catch (error) {
      for (const { settled } of run) settled.reject(error);
    }
  };
  const takeTurn = async (block: Waiting): Promise<void> => {
    try {
      await limit.acquire(signalWith(block.signal));
    } catch {
      forget(waiting, block);
      const aborted = new DOMException('The request was not sent', 'AbortError');
      if (!block.isTaken) block.settled.reject(asAzureError(describe(block.index * BLOCK_BYTES), aborted));
      return;
    }
    try {
      if (!block.isTaken) await sendRun(block);
    } finally {
      limit.release();
    }
  };
  const clearBlock: PageWriter['clearBlock'] = async (index, signal) => {
    const offsetBytes = index * BLOCK_BYTES;
    const abortSignal = signalWith(signal);
    try {
      await limit.acquire(abortSignal);
    } catch (error) {
      throw asPageError(describe(offsetBytes), error);
    }
    try {
      await access.use((pages) => pages.clearPages(offsetBytes, BLOCK_BYTES, { abortSignal }));
      limit.succeeded();
    } catch (error) {
      throw asPageError(describe(offsetBytes), error);
    } finally {
      limit.release();
    }
  };
  return {
    writePages,
    clearBlock,
    async writeBlock({ index, bytes }, signal) {
      if (bytes.length !== BLOCK_BYTES)
        throw new TypeError(`block ${index} has ${bytes.length} bytes instead of ${BLOCK_BYTES}`);
      const block: Waiting = {
        index,
        bytes: bufferOf(bytes),
        signal,
        isTaken: false,
        settled: Promise.withResolvers(),
      };
      if (!waiting.has(index)) waiting.set(index, block);
      void takeTurn(block);
      await block.settled.promise;
    },
  };
}

/** The block, and its neighbours on both sides that wait under the same signal. */
function takeRun(waiting: Map<number, Waiting>, first: Waiting): Waiting[] {
  const run = [first];
  const isNeighbour = (block: Waiting | undefined): block is Waiting => block?.signal === first.signal;
  const isLone = waiting.get(first.index) !== first;
  for (let index = first.index + 1; !isLone && run.length < MAX_BLOCKS_IN_REQUEST; index += 1) {
    const block = waiting.get(index);
    if (!isNeighbour(block)) break;
    run.push(block);
  }
  for (let index = first.index - 1; !isLone && run.length < MAX_BLOCKS_IN_REQUEST; index -= 1) {
    const block = waiting.get(index);
    if (!isNeighbour(block)) break;
    run.unshift(block);
  }
  for (const block of run) {
    block.isTaken = true;
    forget(waiting, block);
  }
  return run;
}

function forget(waiting: Map<number, Waiting>, block: Waiting): void {
  if (waiting.get(block.index) === block) waiting.delete(block.index);
}

async function sendChecked(
  pages: PageBlobClient,
  {
    checksums,
    offsetBytes,
    pieces,
    signal,
  }: {
    checksums: PageChecksums;
    offsetBytes: number;
    pieces: readonly Buffer[];
    signal: AbortSignal;
  },
): Promise<void> {
  const lengthBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  for (;;) {
    const used = checksums.kind();
    try {
      await pages.uploadPages(() => Readable.from(pieces), offsetBytes, lengthBytes, {
        abortSignal: signal,
        ...checksums.of(pieces),
      });
      return;
    } catch (error) {
      if (!checksums.stepDown(error, used)) throw error;
    }
  }
}

/** One request a turn of the event loop: each takes up to 6 ms of it, and many answers may come at once. */
function createPace(): () => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  return async () => {
    const turn = last.then(() => nextTurn());
    last = turn;
    await turn;
  };
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
