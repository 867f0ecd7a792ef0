/** Runs a worker process for one measurement. */
import { join } from 'node:path';
import { type RunningTool, startTool } from '../../src/processes/child.ts';
import { SMALL_HEAP_FLAGS } from '../../src/processes/small-heap.ts';
import type { TransferFigures, TransferJob, TransferMessage } from './transfer-job.ts';

export type TransferOptions = {
  job: TransferJob;
  /** How the target is reached. */
  environment: Readonly<Record<string, string>>;
  onMessage?: (message: TransferMessage) => void;
  signal: AbortSignal;
};

export type RunningTransfer = AsyncDisposable & {
  pid: number;
  /** Rejects where the worker ended without figures. */
  figures: Promise<TransferFigures>;
  exited: RunningTool['exited'];
};

const WORKER = join(import.meta.dirname, 'transfer-worker.ts');

export async function runTransfer(options: TransferOptions): Promise<TransferFigures> {
  await using transfer = await startTransfer(options);
  return await transfer.figures;
}

export async function startTransfer(options: TransferOptions): Promise<RunningTransfer> {
  const { job, environment, onMessage, signal } = options;
  let last: TransferFigures | null = null;
  const worker = await startTool({
    command: process.execPath,
    args: [...SMALL_HEAP_FLAGS, WORKER, JSON.stringify(job)],
    environment,
    signal,
    onLine: (line) => {
      const message = JSON.parse(line) as TransferMessage;
      if (message.kind === 'ended') last = message.figures;
      onMessage?.(message);
    },
  });
  const figures = worker.exited.then(({ exitCode, endedBy, stderr }) => {
    if (last !== null && exitCode === 0) return last;
    signal.throwIfAborted();
    const how = endedBy === null ? `with status ${exitCode}` : `by ${endedBy}`;
    throw new Error(`A worker of the bench ended ${how}: ${stderr}`);
  });
  // Nobody may ask for the figures of a worker that is killed on purpose.
  figures.catch(() => {});
  const { pid, exited } = worker;
  return { pid, figures, exited, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}
