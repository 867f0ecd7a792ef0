/**
 * Packs blocks on worker threads: testing for zeros, digesting and deflating take 5 ms a block, and as many cores as
 * there are. Buffers go to a thread and come back without being copied, and are used again once their chunk was taken.
 *
 * Memory: 17 MiB a thread, and for each block that is being packed or was not released yet 0.5 MiB of packed bytes.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { BLOCK_BYTES, type BlockPacker, type PackedBlock } from '../blocks/stream-encoder.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Container } from '../domain/image.ts';
import type { PackAnswer, PackerSettings, PackJob } from './block-packer-worker.ts';
import { DEFAULT_LEVEL, type DeflateLevel, MAX_PACKED_BLOCK_BYTES } from './vmdk-grain.ts';

export type BlockPackerOptions = {
  container: Container;
  diskBytes: number;
  /** Default: one for each core, up to 8. */
  threads?: number;
  /** How hard VMDK's grains are compressed. Default: 3. */
  level?: DeflateLevel;
};

/** `.ts` in a clone, `.js` in the package. */
const WORKER = new URL(`./block-packer-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** Instead of the process's own, of which some fail a thread; Node 22 calls type stripping experimental in each. */
const THREAD_FLAGS = ['--disable-warning=ExperimentalWarning'];
/** They pack some 0.8 GB/s of content, more than one upload carries; more would only cost memory. */
const MAX_DEFAULT_THREADS = 8;
/** It keeps nothing between two blocks: a small heap is swept often, and the thread stays small. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/**
 * Throws `internal` where no thread can be started. When a thread dies, the blocks it had are rejected, and so is
 * whatever comes after: the packer is to be disposed.
 */
export async function openBlockPacker(options: BlockPackerOptions): Promise<BlockPacker> {
  const { container, diskBytes, threads = defaultThreads(), level = DEFAULT_LEVEL } = options;
  const settings: PackerSettings = { container, diskBytes, level };
  const spares: ArrayBuffer[] = [];
  let failure: LandfallError | null = null;
  const fail = (error: LandfallError): LandfallError => {
    failure ??= error;
    return failure;
  };
  await using stack = new AsyncDisposableStack();
  const lanes = Array.from({ length: threads }, () => stack.use(startLane(settings, fail)));
  await Promise.all(lanes.map((lane) => lane.started));
  const owned = stack.move();

  return {
    lanes: threads,
    async pack({ index, content }) {
      if (failure !== null) throw failure;
      checkWork({ index, content, diskBytes });
      const lane = lanes.reduce((least, each) => (each.waiting.length < least.waiting.length ? each : least));
      const spare = spares.pop() ?? new ArrayBuffer(spareBytesOf(container));
      const answer = await lane.ask({ index, content, spare });
      return { packed: packedBlock(index, answer, spares), content: answer.content };
    },
    async [Symbol.asyncDispose]() {
      fail(packerClosed());
      await owned.disposeAsync();
    },
  };
}

function defaultThreads(): number {
  return Math.min(MAX_DEFAULT_THREADS, availableParallelism());
}

type Waiting = { resolve(answer: PackAnswer): void; reject(error: LandfallError): void };

type Lane = AsyncDisposable & {
  started: Promise<unknown>;
  /** A thread answers in the order it was asked. */
  waiting: Waiting[];
  ask(job: PackJob): Promise<PackAnswer>;
};

function startLane(settings: PackerSettings, fail: (error: LandfallError) => LandfallError): Lane {
  const worker = new Worker(WORKER, {
    workerData: settings,
    execArgv: THREAD_FLAGS,
    resourceLimits: THREAD_LIMITS,
  });
  const waiting: Waiting[] = [];
  const rejectAll = (error: LandfallError): void => {
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  worker.on('message', (answer: PackAnswer) => waiting.shift()?.resolve(answer));
  const end = (reason: string, cause?: unknown): void => rejectAll(fail(packingFailed(reason, cause)));
  worker.on('messageerror', (error) => end(error.message, error));
  worker.on('error', (error) => end(messageOf(error), error));
  worker.on('exit', (code) => end(`its thread ended with status ${code}`));
  const started = once(worker, 'online').catch((error: unknown) => {
    throw fail(packingFailed(messageOf(error), error));
  });
  return {
    started,
    waiting,
    ask: (job) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        worker.postMessage(job, [job.content, job.spare]);
      }),
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  };
}

function packedBlock(index: number, answer: PackAnswer, spares: ArrayBuffer[]): PackedBlock {
  const { packed, lengthBytes, sha256, crc32, pieceBytes } = answer;
  if (lengthBytes === 0) {
    spares.push(packed);
    return { index, sha256, bytes: NOTHING, crc32, pieceBytes };
  }
  let isReleased = false;
  const release = (): void => {
    if (isReleased) return;
    isReleased = true;
    spares.push(packed);
  };
  return { index, sha256, bytes: new Uint8Array(packed, 0, lengthBytes), crc32, pieceBytes, release };
}

const NOTHING = new Uint8Array(0);

function spareBytesOf(container: Container): number {
  return container === 'vmdk-stream-optimized' ? MAX_PACKED_BLOCK_BYTES : BLOCK_BYTES;
}

function checkWork(work: { index: number; content: ArrayBuffer; diskBytes: number }): void {
  const { index, content, diskBytes } = work;
  if (content.byteLength !== BLOCK_BYTES)
    throw new RangeError(`a block of ${content.byteLength} bytes where ${BLOCK_BYTES} are wanted`);
  if (!Number.isInteger(index) || index < 0 || index * BLOCK_BYTES >= diskBytes)
    throw new RangeError(`block ${index} of a disk of ${diskBytes} bytes`);
}

function packingFailed(reason: string, cause: unknown): LandfallError {
  return new LandfallError({
    code: 'internal',
    message: `Packing the disk's blocks failed: ${reason}. It is tried again; if that goes on, see whether this host is short of memory.`,
    retryable: true,
    cause,
  });
}

function packerClosed(): LandfallError {
  const message = 'The block was not packed: its packer was closed meanwhile.';
  return new LandfallError({ code: 'cancelled', message });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
