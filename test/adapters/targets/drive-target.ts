/** Drives a target as the stages do, and as a test needs it: to its end, through deaths, until nothing is left. */
import { createHash, hash, randomBytes } from 'node:crypto';
import { open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { crc32 } from '../../../src/blocks/crc32.ts';
import type { Container, UploadForm } from '../../../src/domain/image.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type {
  BlockSink,
  HeldPart,
  PartSink,
  StepOutcome,
  Target,
  UploadRequest,
  UploadSink,
} from '../../../src/domain/ports.ts';
import { runTool } from '../../../src/processes/child.ts';
import {
  createStepContext,
  type FakeStepContext,
  type StepContextOptions,
} from '../../fakes/step-context.ts';
import { bootDisk } from '../../sandbox/ec2/boot-sector.ts';

const MIB = 2 ** 20;
export const DISK_BYTES = 32 * MIB;
const CONTENT_BYTES = 11 * MIB;
/** Longer than anything that a look-alike takes on a busy machine. */
export const IMPORT_TIMEOUT_MS = 90_000;

export function contextOf(run: string, options: StepContextOptions = {}): FakeStepContext {
  return createStepContext({ run, signal: AbortSignal.timeout(IMPORT_TIMEOUT_MS), ...options });
}

/** Each write to the ledger is met by a death the first time it is due. */
export function createDeaths(): { before: NonNullable<StepContextOptions['onLedger']>; count(): number } {
  const met = new Set<string>();
  return {
    before: ({ step, thing, state }) => {
      const write = `${step} ${thing} ${state}`;
      if (met.has(write)) return;
      met.add(write);
      throw new Death();
    },
    count: () => met.size,
  };
}

class Death extends Error {}

export async function survive<T>({ count }: { count(): number }, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    const deathsBefore = count();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Death) || count() === deathsBefore) throw error;
    }
  }
}

export async function untilDone<T>(step: () => Promise<StepOutcome<T>>): Promise<T> {
  const deadline = performance.now() + IMPORT_TIMEOUT_MS;
  for (;;) {
    const outcome = await step();
    if (outcome.kind === 'done') return outcome.value;
    if (performance.now() > deadline) throw new Error(`still waiting: ${outcome.note}`);
    await delay(Math.min(outcome.afterMs, 200));
  }
}

/** What goes up: a file where the target takes parts, the disk itself where it takes blocks. */
export type Payload = Buffer;

export async function uploadAll(
  target: Target,
  request: UploadRequest,
  context: FakeStepContext,
  payload: Payload,
): Promise<Artifact> {
  return uploadThrough(await target.openUpload(request, context), payload);
}

export async function uploadThrough(sink: UploadSink, payload: Payload): Promise<Artifact> {
  if (sink.finished !== null) return sink.finished;
  await writePieces(sink, payload, piecesOf(sink, payload));
  return finish(sink, payload);
}

/** Numbers of the parts, or indexes of the blocks that hold data. */
export function piecesOf(sink: UploadSink, payload: Payload): number[] {
  if (sink.kind === 'parts') return cuts(sink, payload).map((_, index) => index + 1);
  const indexes = Array.from({ length: Math.ceil(payload.length / sink.blockBytes) }, (_, index) => index);
  return indexes.filter((index) => blockOf(sink, payload, index).some((byte) => byte !== 0));
}

export async function writePieces(
  sink: UploadSink,
  payload: Payload,
  pieces: readonly number[],
): Promise<void> {
  for (const piece of pieces) await writePiece(sink, payload, piece);
}

/** `isDamaged`: its checksum is not that of its bytes. */
export async function writePiece(
  sink: UploadSink,
  payload: Payload,
  piece: number,
  { signal = AbortSignal.timeout(30_000), isDamaged = false } = {},
): Promise<void> {
  if (sink.kind === 'parts') {
    const bytes = partOf(sink, payload, piece);
    const crc = crc32(bytes);
    await sink.writePart({ number: piece, bytes, crc32: isDamaged ? (crc ^ 1) >>> 0 : crc }, signal);
    return;
  }
  const bytes = blockOf(sink, payload, piece);
  const sha256 = hash('sha256', isDamaged ? 'damaged' : bytes, 'buffer');
  await sink.writeBlock({ index: piece, bytes, sha256 }, signal);
}

/** `isWrong`: what is put together is not what was sent. */
export function finish(sink: UploadSink, payload: Payload, { isWrong = false } = {}): Promise<Artifact> {
  if (sink.kind === 'parts') {
    const parts = partsOf(sink, payload);
    const [first, second, ...rest] = parts;
    const isSwapped = isWrong && first !== undefined && second !== undefined;
    return sink.finish(isSwapped ? [second, first, ...rest] : parts);
  }
  const pieces = piecesOf(sink, payload);
  const linear = createHash('sha256');
  for (const index of isWrong ? pieces.toReversed() : pieces)
    linear.update(hash('sha256', blockOf(sink, payload, index), 'buffer'));
  return sink.finish({ blockCount: pieces.length, linearSha256: linear.digest() });
}

export function partOf(sink: PartSink, payload: Payload, number: number): Buffer {
  const part = cuts(sink, payload)[number - 1];
  if (part === undefined) throw new RangeError(`there is no part ${number}`);
  return part;
}

/** As whoever wrote them remembers them, where the ETag is the MD5 of the bytes. */
export function partsOf(sink: PartSink, payload: Payload): (HeldPart & { crc32: number })[] {
  return cuts(sink, payload).map((bytes) => ({
    bytes: bytes.length,
    crc32: crc32(bytes),
    etag: hash('md5', bytes),
  }));
}

/** Longer than `partBytes` by a little that differs from part to part, as parts are that end with a block. */
function cuts(sink: PartSink, payload: Payload): Buffer[] {
  const parts: Buffer[] = [];
  for (let offset = 0, number = 1; offset < payload.length; number += 1) {
    const bytes = sink.partBytes(number) + ((number * 7919) % MIB);
    parts.push(payload.subarray(offset, offset + bytes));
    offset += bytes;
  }
  return parts;
}

function blockOf({ blockBytes }: BlockSink, payload: Payload, index: number): Buffer {
  const block = payload.subarray(index * blockBytes, (index + 1) * blockBytes);
  return block.length === blockBytes ? block : Buffer.concat([block], blockBytes);
}

/** Newest first, as whoever discards a machine does. */
export async function discardAll(target: Target, context: FakeStepContext): Promise<void> {
  for (const entry of (await context.ledger.entries()).reverse()) {
    if (entry.state !== 'discarded') await target.discard(entry, context);
  }
}

export async function removeAll(target: Target, run: string): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  for (const thing of await target.findTagged(run, signal)) await target.removeTagged(thing, run, signal);
  expect(await target.findTagged(run, signal)).toEqual([]);
}

/** A small disk with random content, so large that it takes some parts, and what goes up of it in this form. */
export async function makeDisk(
  folder: string,
  form: UploadForm,
): Promise<{ content: Buffer; payload: Payload }> {
  const raw = join(folder, 'disk.raw');
  const file = await open(raw, 'w');
  // A disk that cannot boot would be seen as failed as soon as the firmware says so.
  await file.write(bootDisk('boots'), 0, 512, 0);
  await file.write(randomBytes(CONTENT_BYTES), 0, CONTENT_BYTES, MIB);
  await file.close();
  await truncate(raw, DISK_BYTES);
  const content = await readFile(raw);
  if (form.kind === 'blocks') return { content, payload: content };
  const made = join(folder, 'disk.made');
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', ...CONVERT_TO[form.container], raw, made],
  });
  return { content, payload: await readFile(made) };
}

const CONVERT_TO: Record<Container, readonly string[]> = {
  'vmdk-stream-optimized': ['-O', 'vmdk', '-o', 'adapter_type=lsilogic,subformat=streamOptimized,compat6'],
  'vhd-fixed': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
  raw: ['-O', 'raw'],
};
