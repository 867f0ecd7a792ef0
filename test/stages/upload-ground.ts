/**
 * Ground for tests of uploads: a disk and a target that outlive attempts, in parts and in blocks. What stands here is made
 * anew before each test.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { UploadForm } from '../../src/domain/image.ts';
import type { Artifact } from '../../src/domain/landing.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createFakeEvidence, type FakeEvidence } from '../fakes/evidence.ts';
import { createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { createDurableState, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget, type FakeTarget } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

export const PART = 2 ** 20;
const BLOCKS = 40;
/** The last block is short. */
export const LENGTH = BLOCK_BYTES * BLOCKS - 1024;
/** Allocated, and full of zeros. */
const ZEROS = [5, 6, 7];
/** Never written: a hole. */
const HOLES = [20, 21, 22, 23];
export const DATA = Array.from({ length: BLOCKS }, (_, index) => index).filter(
  (index) => !ZEROS.includes(index) && !HOLES.includes(index),
);
export const HOLE_BYTES = HOLES.length * BLOCK_BYTES;

export const FORMS: UploadForm[] = [
  { kind: 'parts', container: 'raw' },
  { kind: 'blocks', blockBytes: BLOCK_BYTES },
];

let folder: string;
export let path: string;
export let content: Buffer;
export let record: MachineRecord;
export let state: DurableState;
export let evidence: FakeEvidence;
export let target: FakeTarget;
export let form: UploadForm;

/** For the tests of the describe block that calls it. */
export function standOnUploadGround(chosen: UploadForm): void {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-upload-'));
    path = join(folder, 'disk.raw');
    state = createDurableState();
    evidence = createFakeEvidence();
    await begin(chosen);
  });
  afterEach(() => rm(folder, { recursive: true }));
}

async function begin(chosen: UploadForm): Promise<void> {
  form = chosen;
  content = await writeDisk();
  target = createFakeTarget({ form, partBytes: PART });
  const machine = createMachine({ diskBytes: LENGTH });
  const prepared = { form, dataBytes: LENGTH - HOLE_BYTES };
  record = {
    ...createRecord({ machine }),
    images: { '0': rawImage(path, LENGTH) },
    prepared: { '0': prepared },
  };
}

async function writeDisk(): Promise<Buffer> {
  const bytes = randomBytes(LENGTH);
  for (const index of [...ZEROS, ...HOLES]) bytes.fill(0, index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
  await using file = await open(path, 'w');
  await file.truncate(LENGTH);
  for (let index = 0; index < BLOCKS; index += 1) {
    const at = index * BLOCK_BYTES;
    if (!HOLES.includes(index)) await file.write(bytes, at, Math.min(BLOCK_BYTES, LENGTH - at), at);
  }
  return bytes;
}

export function attempt(options: Parameters<typeof createAttempt>[0] = {}): Attempt {
  return createAttempt({ record, state, target, evidence, ...options });
}

export async function upload(input: Attempt): Promise<Artifact> {
  const outcome = await runStep(input);
  if (outcome.kind !== 'done' || outcome.value.stage !== 'upload') throw new Error('not uploaded');
  return outcome.value.artifact;
}

export function digest(artifact: Artifact, algorithm: string): string | undefined {
  return artifact.digests.find((candidate) => candidate.algorithm === algorithm)?.value;
}

/** The numbers of what was acknowledged since the last call. */
export function takeWritten(): number[] {
  const numbers = target.written.map(({ number }) => number).sort((a, b) => a - b);
  target.written = [];
  return numbers;
}

/** An attempt that dies when part or block `number` is about to be stored; gives what came through. */
export async function dieAt(number: number): Promise<number[]> {
  target.beforeWrite = async (write) => {
    if (write.number >= number) throw new Error('killed');
  };
  await expect(upload(attempt())).rejects.toThrow('killed');
  target.beforeWrite = async () => {};
  return takeWritten();
}
