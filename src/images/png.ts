/**
 * Screenshots come from clouds as JPEG or as bitmaps; evidence keeps PNG. At 1024 × 768 that takes 76 to 140 ms of computing, longer
 * than the event loop may stand still, so a thread does it: one per picture, which ends with its job.
 */
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LandfallError } from '../domain/errors.ts';
import type { PictureFormat, PngAnswer, PngTask } from './png-worker.ts';

/** What the largest picture that the thread takes, 8 MP, needs: at the best quality (consoles have 0.1 MiB), and plain. */
const MAX_BYTES: Record<PictureFormat, number> = { jpeg: 8 * 2 ** 20, bmp: 32 * 2 ** 20 };
/** The decoder's own limit is 128 MB; beyond this the thread is ended, and the process lives. */
const MAX_THREAD_HEAP_MB = 256;
/** 8 MP take 2.5 s; the rest is for a busy host. */
const DEADLINE_MS = 20_000;
/** `.ts` in a clone, `.js` in the package. */
const WORKER = new URL(`./png-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** Instead of the process's own, of which some fail a thread; Node 22 calls type stripping experimental in each. */
const THREAD_FLAGS = ['--disable-warning=ExperimentalWarning'];

let lastTurn: Promise<unknown> = Promise.resolve();

/**
 * Pictures are converted one at a time, so memory is one thread's, however many machines are looked at. The thread
 * does not keep the process alive. Throws `evidence-unavailable` on bytes that are no JPEG, or more than 8 MiB.
 */
export function jpegToPng(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return takeTurn({ format: 'jpeg', bytes }, signal);
}

/** The same for an uncompressed bitmap of at most 32 MiB. */
export function bmpToPng(bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return takeTurn({ format: 'bmp', bytes }, signal);
}

function takeTurn(task: PngTask, signal: AbortSignal): Promise<Uint8Array> {
  const turn = lastTurn.then(() => convert(task, signal));
  lastTurn = turn.catch(() => {});
  return turn;
}

async function convert(task: PngTask, signal: AbortSignal): Promise<Uint8Array> {
  signal.throwIfAborted();
  const { format, bytes } = task;
  const maxBytes = MAX_BYTES[format];
  if (bytes.length > maxBytes)
    throw unavailable(bytes, `it is larger than the ${maxBytes} bytes that are taken`);
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const answer = await askThread(task, AbortSignal.any([signal, deadline])).catch((cause: unknown) => {
    signal.throwIfAborted();
    const said = cause instanceof Error ? cause.message : String(cause);
    const reason = deadline.aborted ? `it took longer than ${DEADLINE_MS / 1000} s` : said;
    throw unavailable(bytes, reason, cause);
  });
  switch (answer.kind) {
    case 'png':
      return answer.png;
    case 'unreadable':
      throw unavailable(bytes, `it is no ${format.toUpperCase()} that can be read (${answer.problem})`);
    default:
      return answer satisfies never;
  }
}

async function askThread({ format, bytes }: PngTask, signal: AbortSignal): Promise<PngAnswer> {
  // A copy, since small buffers share their memory, and what is handed over is taken from its owner.
  const own = new Uint8Array(bytes);
  const worker = new Worker(WORKER, {
    workerData: { format, bytes: own } satisfies PngTask,
    transferList: [own.buffer],
    execArgv: THREAD_FLAGS,
    resourceLimits: { maxOldGenerationSizeMb: MAX_THREAD_HEAP_MB },
  });
  // An error after the answer, or while the thread is ended, has no other listener and would end the process.
  worker.on('error', () => {});
  try {
    const answered = once(worker, 'message', { signal });
    // Only now: a listener for messages takes an earlier `unref` back.
    worker.unref();
    const [answer] = await answered;
    return answer as PngAnswer;
  } finally {
    await worker.terminate();
  }
}

function unavailable(bytes: Uint8Array, reason: string, cause?: unknown): LandfallError {
  return new LandfallError({
    code: 'evidence-unavailable',
    message: `The screenshot (${bytes.length} bytes) could not be turned into a PNG: ${reason}. The proof goes on without it; look at the machine's console at the target.`,
    cause,
  });
}
