/** Serves an image over NBD by qemu-nbd: read-only, every format explicit, on a socket that only this user can reach. */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openNbd } from '../blocks/nbd-client.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Image, ImageLayout, OpenImage } from '../domain/image.ts';
import type { JsonObject } from '../domain/json.ts';
import { type RunningTool, startTool } from '../processes/child.ts';
import { makeScratchFolder } from '../processes/scratch-folder.ts';
import { describeBlank, describeSingle, describeToQemu } from './block-description.ts';
import { filesOf } from './fingerprint.ts';
import { inspectHeader } from './header-guard.ts';
import { describePiecesIn } from './pieces-folder.ts';
import { qemuFailure } from './qemu-failure.ts';
import { corruptImage } from './refusal.ts';
import { openSlice } from './slice-reader.ts';
import { inspectSparseExtent } from './vmdk-header.ts';

/** Readers of one image at once: a reader with 8 connections already outruns a disk. */
const MAX_CLIENTS = 8;
/**
 * 8 clients × 16 requests × 32 MiB are 4 GiB at the very most; tables, stacks and arenas have the rest. No CPU limit:
 * serving a large disk takes hours.
 */
const ADDRESS_SPACE_BYTES = 8 * 2 ** 30;
/** Opening reads tables only; slow storage has been seen to take seconds for those. */
const START_TIMEOUT_MS = 60_000;
const START_POLL_MS = 10;
const ANSWER_TIMEOUT_MS = 10_000;
const NOT_YET: ReadonlySet<unknown> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);
/** sun_path holds 108 bytes, the closing zero among them. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Opens an image for reading. Its files pass the guard once more, since they may have changed since they were
 * described. Aborting `signal` ends the server, too. Throws `image-…`, `source-changed`, `source-not-off`,
 * `tool-missing` or `tool-failed`.
 */
export async function openImageOverNbd(image: Image, signal: AbortSignal): Promise<OpenImage> {
  signal.throwIfAborted();
  await checkUnchanged(image, signal);
  const folder = await makePrivateFolder();
  const removeFolder = () => rm(folder, { recursive: true, force: true });
  try {
    const { server, socketPath } = await serve({ image, folder, signal });
    return {
      uri: nbdUri(socketPath),
      bytes: image.bytes,
      [Symbol.asyncDispose]: async () => {
        await server.stop(0);
        await removeFolder();
      },
    };
  } catch (error) {
    await removeFolder();
    throw error;
  }
}

type Serving = { image: Image; folder: string; signal: AbortSignal };

async function serve({ image, folder, signal }: Serving) {
  const socketPath = socketIn(folder);
  const blocks = await describeBlocks(image, folder);
  const server = await startServer({ blocks, socketPath, signal });
  try {
    const name = nameOf(image.layout);
    const bytes = await untilServing({ server, socketPath, signal, name });
    if (bytes === image.bytes) return { server, socketPath };
    throw corruptImage({
      label: name,
      found: `qemu reads a disk of ${bytes} bytes from it, and its header says ${image.bytes}`,
      remedy: 'Export the disk again from its source.',
    });
  } catch (error) {
    await server.stop(0);
    throw error;
  }
}

async function checkUnchanged({ layout, bytes }: Image, signal: AbortSignal): Promise<void> {
  switch (layout.kind) {
    case 'single': {
      const found = await inspectHeader(layout.file, { format: layout.format, signal });
      if (found.bytes !== bytes) throw changed({ path: layout.file.path, was: bytes, is: found.bytes });
      return;
    }
    case 'pieces':
      for (const piece of layout.pieces) {
        if (piece.kind === 'zero') continue;
        // A raw slice is checked by being opened: it must lie within its file.
        await using reader = await openSlice({ slice: piece.file, label: piece.file.path, signal });
        if (piece.kind === 'raw') continue;
        const found = await inspectSparseExtent(reader);
        if (found.bytes !== piece.bytes) {
          throw changed({ path: piece.file.path, was: piece.bytes, is: found.bytes });
        }
      }
      return;
    case 'blank':
      return;
    default:
      return layout satisfies never;
  }
}

async function makePrivateFolder(): Promise<string> {
  const folder = await makeScratchFolder('nbd');
  const lengthBytes = Buffer.byteLength(socketIn(folder));
  if (lengthBytes <= MAX_SOCKET_PATH_BYTES) return folder;
  await rm(folder, { recursive: true, force: true });
  throw new LandfallError({
    code: 'usage',
    message: `Cannot make a socket in ${tmpdir()}: its path would have ${lengthBytes} bytes and ${MAX_SOCKET_PATH_BYTES} is the most. Set TMPDIR to a shorter path.`,
  });
}

function socketIn(folder: string): string {
  return join(folder, 'nbd');
}

async function describeBlocks({ layout, bytes }: Image, folder: string): Promise<JsonObject> {
  switch (layout.kind) {
    case 'single':
      return describeSingle(layout);
    case 'pieces':
      return await describePiecesIn(folder, layout.pieces);
    case 'blank':
      return describeBlank(bytes);
    default:
      return layout satisfies never;
  }
}

async function startServer(start: {
  blocks: JsonObject;
  socketPath: string;
  signal: AbortSignal;
}): Promise<RunningTool> {
  return await startTool({
    command: 'qemu-nbd',
    args: [
      '--read-only',
      '--persistent',
      `--shared=${MAX_CLIENTS}`,
      `--socket=${start.socketPath}`,
      describeToQemu(start.blocks),
    ],
    signal: start.signal,
    limits: { addressSpaceBytes: ADDRESS_SPACE_BYTES },
    // glibc reserves 64 MiB of address space per arena, 8 arenas per core: on a large host they alone would hit the limit.
    environment: { MALLOC_ARENA_MAX: '2' },
  });
}

/** Waits until the server answers; gives the size of what it serves. */
async function untilServing(wait: {
  server: RunningTool;
  socketPath: string;
  signal: AbortSignal;
  name: string;
}): Promise<number> {
  const { server, socketPath, signal, name } = wait;
  const startedAt = performance.now();
  for (;;) {
    const bytes = await askExportBytes(nbdUri(socketPath), signal);
    if (bytes !== null) return bytes;
    const ended = await Promise.race([server.exited, sleep(START_POLL_MS, null)]);
    signal.throwIfAborted();
    if (ended !== null) {
      const { exitCode, stderr } = ended;
      throw qemuFailure({ attempted: `Opening ${name} failed`, command: 'qemu-nbd', exitCode, stderr });
    }
    if (performance.now() - startedAt > START_TIMEOUT_MS) throw tooSlow(name);
  }
}

/** null: it does not serve yet. */
async function askExportBytes(uri: string, signal: AbortSignal): Promise<number | null> {
  try {
    await using client = await openNbd({ uri, connections: 1, requestTimeoutMs: ANSWER_TIMEOUT_MS, signal });
    return client.bytes;
  } catch (error) {
    if (isNotYet(error)) return null;
    throw error;
  }
}

/** The socket is not there, not listened to, or its server is just ending: then its exit says why. */
function isNotYet(error: unknown): boolean {
  return error instanceof LandfallError && NOT_YET.has(error.context.errno);
}

function nbdUri(socketPath: string): string {
  return `nbd+unix:///?socket=${socketPath.split('/').map(encodeURIComponent).join('/')}`;
}

function nameOf(layout: ImageLayout): string {
  const [first = 'a blank disk', ...more] = filesOf(layout);
  return more.length === 0 ? first : `${first} and ${more.length} more extents`;
}

function changed({ path, was, is }: { path: string; was: number; is: number }): LandfallError {
  return new LandfallError({
    code: 'source-changed',
    message: `${path} holds a disk of ${is} bytes, and had ${was} when it was planned. Nothing may write to a source while it is migrated; start the machine again from its new state.`,
    context: { path, was, is },
  });
}

function tooSlow(name: string): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `Opening ${name} failed: qemu-nbd did not serve it within ${START_TIMEOUT_MS / 1000} s. Check the storage it lies on.`,
    retryable: true,
  });
}
