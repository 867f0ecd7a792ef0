/** A qemu-nbd that serves the disk of a chain, here or behind a forwarded socket. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openNbd } from '../../../src/blocks/nbd-client.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { OpenImage } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import { describeSingle } from '../../../src/images/block-description.ts';
import { qemuFailure } from '../../../src/images/qemu-failure.ts';
import type { RunningTool } from '../../../src/processes/child.ts';
import { makeScratchFolder } from '../../../src/processes/scratch-folder.ts';
import type { ChainFile } from './image-place.ts';

export type ServedChain = {
  /** How messages call it. */
  label: string;
  /** Starts what will answer on this socket. */
  start(socketPath: string): Promise<RunningTool>;
  /** What the failure of the started tool means; by default it is qemu-nbd. */
  explain?(ended: { exitCode: number; stderr: string }): LandfallError;
  startTimeoutMs: number;
  signal: AbortSignal;
};

const POLL_MS = 20;
const ANSWER_TIMEOUT_MS = 20_000;
const NOT_YET: ReadonlySet<unknown> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** Throws `tool-…`, `image-…`, `source-…` errors; leaves nothing behind then. */
export async function serveChain(served: ServedChain): Promise<OpenImage> {
  const { signal } = served;
  signal.throwIfAborted();
  const folder = await makeScratchFolder('nbd');
  const socketPath = join(folder, 'nbd');
  const uri = `nbd+unix:///?socket=${encodeURI(socketPath)}`;
  await using owned = new AsyncDisposableStack();
  owned.defer(() => rm(folder, { recursive: true, force: true }));
  const server = owned.use(await served.start(socketPath));
  const bytes = await untilAnswering({ ...served, server, uri });
  const kept = owned.move();
  return { uri, bytes, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** What qemu is told: every file, every format, and of no header what lies under it. */
export function describeChain(chain: readonly ChainFile[]): JsonObject {
  const [top, ...under] = chain;
  if (top === undefined) throw new TypeError('a chain has no file');
  const single = describeSingle({
    format: top.format,
    file: { path: top.path, offsetBytes: 0, lengthBytes: null },
  });
  return under.length === 0 ? single : { ...single, backing: describeChain(under) };
}

async function untilAnswering(wait: ServedChain & { server: RunningTool; uri: string }): Promise<number> {
  const { server, uri, signal, label, startTimeoutMs } = wait;
  const startedAt = performance.now();
  for (;;) {
    const bytes = await askBytes(uri, signal);
    if (bytes !== null) return bytes;
    const ended = await Promise.race([server.exited, sleep(POLL_MS, null)]);
    signal.throwIfAborted();
    if (ended !== null) {
      throw (
        wait.explain?.(ended) ??
        qemuFailure({ attempted: `Opening ${label} failed`, command: 'qemu-nbd', ...ended })
      );
    }
    if (performance.now() - startedAt > startTimeoutMs) throw tooSlow(label, startTimeoutMs);
  }
}

/** null: nothing answers yet. */
async function askBytes(uri: string, signal: AbortSignal): Promise<number | null> {
  try {
    await using client = await openNbd({ uri, connections: 1, requestTimeoutMs: ANSWER_TIMEOUT_MS, signal });
    return client.bytes;
  } catch (error) {
    if (error instanceof LandfallError && NOT_YET.has(error.context.errno)) return null;
    throw error;
  }
}

function tooSlow(label: string, startTimeoutMs: number): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `Opening ${label} failed: qemu-nbd did not serve it within ${startTimeoutMs / 1000} s. Check the storage it lies on, and the line to it.`,
    retryable: true,
  });
}
