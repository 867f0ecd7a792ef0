/** Drives a target as the stages do, and as a test needs it: to its end, through deaths, until nothing is left. */
import { randomBytes } from 'node:crypto';
import { open, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { crc32 } from '../../../src/blocks/crc32.ts';
import type { Container } from '../../../src/domain/image.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { StepOutcome, Target, UploadRequest, UploadSink } from '../../../src/domain/ports.ts';
import { runTool } from '../../../src/processes/child.ts';
import type { FakeStepContext, StepContextOptions } from '../../fakes/step-context.ts';
import { bootDisk } from '../../sandbox/ec2/boot-sector.ts';

const MIB = 2 ** 20;
const DISK_BYTES = 32 * MIB;
const CONTENT_BYTES = 11 * MIB;
/** Longer than anything that a look-alike takes on a busy machine. */
export const IMPORT_TIMEOUT_MS = 90_000;

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

export async function uploadAll(
  target: Target,
  request: UploadRequest,
  context: FakeStepContext,
  bytes: Buffer,
): Promise<Artifact> {
  const sink = await target.openUpload(request, context);
  if (sink.finished !== null) return sink.finished;
  for (let number = 1; number <= sink.partCount; number += 1)
    if (!sink.held.has(number)) await writePart(sink, bytes, number);
  return sink.finish(checksums(sink, bytes));
}

export async function writePart(sink: UploadSink, whole: Buffer, number: number): Promise<void> {
  const bytes = partOf(sink, whole, number);
  await sink.writePart({ number, bytes, crc32: crc32(bytes) }, AbortSignal.timeout(30_000));
}

export function partOf({ partBytes }: UploadSink, whole: Buffer, number: number): Buffer {
  return whole.subarray((number - 1) * partBytes, number * partBytes);
}

export function checksums(sink: UploadSink, whole: Buffer): number[] {
  return range(sink.partCount).map((number) => crc32(partOf(sink, whole, number)));
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
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

/** A small disk with random content in the container, so large that it takes some parts. */
export async function makeDisk(folder: string, container: Container): Promise<Buffer> {
  const raw = join(folder, 'disk.raw');
  const file = await open(raw, 'w');
  // A disk that cannot boot would be seen as failed as soon as the firmware says so.
  await file.write(bootDisk('boots'), 0, 512, 0);
  await file.write(randomBytes(CONTENT_BYTES), 0, CONTENT_BYTES, MIB);
  await file.close();
  await truncate(raw, DISK_BYTES);
  const made = join(folder, 'disk.made');
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', ...CONVERT_TO[container], raw, made],
  });
  return readFile(made);
}

const CONVERT_TO: Record<Container, readonly string[]> = {
  'vmdk-stream-optimized': ['-O', 'vmdk', '-o', 'adapter_type=lsilogic,subformat=streamOptimized,compat6'],
  'vhd-fixed': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
  raw: ['-O', 'raw'],
};
