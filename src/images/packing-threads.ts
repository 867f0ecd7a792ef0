/**
 * The threads on which blocks are packed. All uploads of a process share one set: each with threads of its own would be
 * more threads than cores, which starve the event loop, and 17 MiB for each of them.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LandfallError } from '../domain/errors.ts';
import type { PackAnswer, PackerThreadData, PackJob } from './block-packer-worker.ts';

export type PackingThreads = AsyncDisposable & {
  readonly count: number;
  /** Rejects with `internal` when the thread that has it dies, and from then on for whatever is asked of any of them. */
  ask(job: PackJob): Promise<PackAnswer>;
};

/** `.ts` in a clone, `.js` in the package. */
const WORKER = new URL(`./block-packer-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** Instead of the process's own, of which some fail a thread; Node 22 calls type stripping experimental in each. */
const THREAD_FLAGS = ['--disable-warning=ExperimentalWarning'];
/** They pack some 0.8 GB/s of content, more than most links carry; more would only cost memory. */
const MAX_SHARED_THREADS = 8;
/** It keeps nothing between two blocks: a small heap is swept often, and the thread stays small. */
const THREAD_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

type Shared = { borrowers: number; threads: Promise<PackingThreads> };
let shared: Shared | null = null;

/** Those of the process: one for each core, up to 8. They start with the first borrower and end with the last. */
export async function borrowThreads(): Promise<PackingThreads> {
  shared ??= { borrowers: 0, threads: startThreads(Math.min(MAX_SHARED_THREADS, availableParallelism())) };
  const borrowed = shared;
  borrowed.borrowers += 1;
  let isGivenBack = false;
  // Whoever comes after a failure or the last borrower starts new ones.
  const leave = (): void => {
    if (shared === borrowed) shared = null;
  };
  const threads = await borrowed.threads.catch((error: unknown) => {
    leave();
    throw error;
  });
  return {
    count: threads.count,
    ask: (job) =>
      threads.ask(job).catch((error: unknown) => {
        leave();
        throw error;
      }),
    async [Symbol.asyncDispose]() {
      if (isGivenBack) return;
      isGivenBack = true;
      borrowed.borrowers -= 1;
      if (borrowed.borrowers > 0) return;
      leave();
      await threads[Symbol.asyncDispose]();
    },
  };
}

/** A set of one's own. Throws `internal` where one cannot be started. */
export async function startThreads(count: number): Promise<PackingThreads> {
  let failure: LandfallError | null = null;
  const fail = (error: LandfallError): LandfallError => {
    failure ??= error;
    return failure;
  };
  await using stack = new AsyncDisposableStack();
  const lanes = Array.from({ length: count }, () => stack.use(startLane(fail)));
  await Promise.all(lanes.map((lane) => lane.started));
  const owned = stack.move();
  return {
    count,
    async ask(job) {
      if (failure !== null) throw failure;
      const lane = lanes.reduce((least, each) => (each.waiting.length < least.waiting.length ? each : least));
      return await lane.ask(job);
    },
    async [Symbol.asyncDispose]() {
      fail(packerClosed());
      await owned.disposeAsync();
    },
  };
}

type Waiting = { resolve(answer: PackAnswer): void; reject(error: LandfallError): void };

type Lane = AsyncDisposable & {
  started: Promise<unknown>;
  /** A thread answers in the order it was asked. */
  waiting: Waiting[];
  ask(job: PackJob): Promise<PackAnswer>;
};

function startLane(fail: (error: LandfallError) => LandfallError): Lane {
  const isClosed = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workerData: PackerThreadData = { isClosed };
  const worker = new Worker(WORKER, { workerData, execArgv: THREAD_FLAGS, resourceLimits: THREAD_LIMITS });
  const waiting: Waiting[] = [];
  const rejectAll = (error: LandfallError): void => {
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  worker.on('message', (answer: PackAnswer) => waiting.shift()?.resolve(answer));
  const end = (reason: string, cause?: unknown): void => rejectAll(fail(packingFailed(reason, cause)));
  worker.on('messageerror', (error) => end(error.message, error));
  worker.on('error', (error) => end(messageOf(error), error));
  const exited = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      end(`its thread ended with status ${code}`);
      resolve();
    });
  });
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
    // Not terminated: native code that loses its JavaScript in the middle of a call aborts the whole process.
    async [Symbol.asyncDispose]() {
      Atomics.store(isClosed, 0, 1);
      worker.postMessage(null);
      await exited;
    },
  };
}

function packingFailed(reason: string, cause: unknown): LandfallError {
  return new LandfallError({
    code: 'internal',
    message: `Packing the disk's blocks failed: ${reason}. It is tried again; if that goes on, see whether this host is short of memory.`,
    retryable: true,
    cause,
  });
}

export function packerClosed(): LandfallError {
  const message = 'The block was not packed: its packer was closed meanwhile.';
  return new LandfallError({ code: 'cancelled', message });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
