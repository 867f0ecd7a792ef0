/**
 * What every target that takes blocks promises of later passes: they are driven by the upload stage itself, over a disk
 * that changes between passes, with a kill inside each pass and a second delivery after it.
 */
import { hash, randomBytes, randomUUID } from 'node:crypto';
import { constants, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BLOCK_BYTES } from '../../../src/blocks/stream-encoder.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { DirtyExtent } from '../../../src/domain/image.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { MachineRecord, Step } from '../../../src/domain/machine-record.ts';
import type { Source, Target } from '../../../src/domain/ports.ts';
import { runStep } from '../../../src/stages/run-step.ts';
import { rootOf } from '../../fakes/digest-root.ts';
import { createFakeEvidence, type FakeEvidence } from '../../fakes/evidence.ts';
import { createJob, createMachine, createRecord, rawImage } from '../../fakes/machine.ts';
import { createFakeSource } from '../../fakes/source.ts';
import { createDurableState, type DurableState } from '../../fakes/step-context.ts';
import { createFakeTarget } from '../../fakes/target.ts';
import { createAttempt } from '../../stages/attempt.ts';

export type PassStage = {
  openUpload: Target['openUpload'];
  /** The disk as it landed, to so many bytes. */
  read(artifact: Artifact, lengthBytes: number): Promise<Buffer>;
};

const BLOCKS = 48;
const LENGTH = BLOCKS * BLOCK_BYTES - 1024;
const LAST = BLOCKS - 1;
const HOLES = [20, 21, 22, 23];

export function describePasses(stage: () => PassStage): void {
  let folder: string;
  let path: string;
  let content: Buffer;
  let record: MachineRecord;
  let state: DurableState;
  let evidence: FakeEvidence;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-passes-'));
    path = join(folder, 'disk.raw');
    state = createDurableState();
    evidence = createFakeEvidence();
    content = randomBytes(LENGTH);
    for (const index of HOLES) zero(index);
    await save(Array.from({ length: BLOCKS }, (_, index) => index).filter((index) => !HOLES.includes(index)));
    record = {
      ...createRecord({ machine: createMachine({ diskBytes: LENGTH }) }),
      // Each test has a run of its own: what another left at the target is not found.
      run: `run-${randomUUID()}`,
      images: { '0': rawImage(path, LENGTH) },
      prepared: { '0': { form: { kind: 'blocks', blockBytes: BLOCK_BYTES }, dataBytes: LENGTH } },
    };
    const first = record.steps['upload/0'] as Step;
    for (const pass of [1, 2]) record.steps[`upload/0@${pass}`] = { ...first, pass };
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const zero = (index: number): void => {
    content.fill(0, index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
  };
  const save = async (indexes: readonly number[]): Promise<void> => {
    await using file = await open(path, constants.O_RDWR | constants.O_CREAT);
    await file.truncate(LENGTH);
    for (const index of indexes) {
      const at = index * BLOCK_BYTES;
      await file.write(content, at, Math.min(BLOCK_BYTES, LENGTH - at), at);
    }
  };
  const attempt = async (
    pass: number,
    { dirty, dieAfter = Number.POSITIVE_INFINITY }: { dirty?: readonly DirtyExtent[]; dieAfter?: number },
  ): Promise<{ artifact: Artifact; sent: number[]; cleared: number[] }> => {
    const sent: number[] = [];
    const cleared: number[] = [];
    const die = (): void => {
      if (sent.length + cleared.length >= dieAfter) throw new Death();
    };
    const target: Target = {
      ...createFakeTarget(),
      async openUpload(...asked) {
        const sink = await stage().openUpload(...asked);
        if (sink.kind !== 'blocks') throw new TypeError('no target for blocks');
        const { clearBlock } = sink;
        return {
          ...sink,
          // One lane: a kill comes after so many blocks, neither more nor less.
          offeredAtOnce: 1,
          async writeBlock(block, signal) {
            die();
            await sink.writeBlock(block, signal);
            const isZero = block.bytes.every((byte) => byte === 0);
            (isZero ? cleared : sent).push(block.index);
          },
          ...(clearBlock === undefined
            ? {}
            : {
                async clearBlock(index: number, signal: AbortSignal) {
                  die();
                  await clearBlock(index, signal);
                  cleared.push(index);
                },
              }),
        };
      },
    };
    const fake = createFakeSource({ machine: record.machine, images: record.images });
    const source: Source = {
      ...fake,
      open: async (image, signal) => ({
        ...(await fake.open(image, signal)),
        ...(dirty === undefined
          ? {}
          : {
              dirtyExtents: async function* () {
                yield* dirty;
              },
            }),
      }),
    };
    const job = { ...createJob('upload', '0'), run: record.run, pass };
    const outcome = await runStep(createAttempt({ record, state, target, evidence, source, job }));
    if (outcome.kind !== 'done' || outcome.value.stage !== 'upload') throw new Error('not uploaded');
    return { artifact: outcome.value.artifact, sent, cleared };
  };
  /** A pass that dies, is taken up, and is delivered once more after its end. */
  const land = async (
    pass: number,
    { dirty, dieAfter }: { dirty?: readonly DirtyExtent[]; dieAfter: number },
  ): Promise<{ sent: number[]; cleared: number[] }> => {
    const work = dirty === undefined ? {} : { dirty };
    await expect(patient(() => attempt(pass, { ...work, dieAfter }))).rejects.toBeInstanceOf(Death);
    const { artifact, sent, cleared } = await patient(() => attempt(pass, work));
    expect(root(artifact)).toBe(await rootOf(content));
    const again = await patient(() => attempt(pass, work));
    expect(again.artifact).toEqual(artifact);
    expect([...again.sent, ...again.cleared]).toEqual([]);
    record.artifacts['0'] = artifact;
    return { sent, cleared };
  };

  test('a disk that changes between passes lands as it was at the last, through a kill in each', async () => {
    const { sent } = await land(0, { dieAfter: 10 });
    expect(sent).toHaveLength(BLOCKS - HOLES.length - 10);

    randomBytes(BLOCK_BYTES).copy(content, 3 * BLOCK_BYTES);
    randomBytes(BLOCK_BYTES).copy(content, 21 * BLOCK_BYTES);
    content.fill(7, LAST * BLOCK_BYTES);
    for (const index of [5, 6, 7]) zero(index);
    await save([3, 5, 6, 7, 21, LAST]);
    const dirty = [
      { offsetBytes: 3 * BLOCK_BYTES + 512, lengthBytes: 65_536 },
      { offsetBytes: 5 * BLOCK_BYTES, lengthBytes: 3 * BLOCK_BYTES },
      // The first two of them were holes before, and one is so now.
      { offsetBytes: 20 * BLOCK_BYTES, lengthBytes: 2 * BLOCK_BYTES },
      { offsetBytes: LAST * BLOCK_BYTES, lengthBytes: LENGTH - LAST * BLOCK_BYTES },
    ];
    const second = await land(1, { dirty, dieAfter: 2 });
    expect(second).toEqual({ sent: [21, LAST], cleared: [6, 7, 20] });

    // Zeros again hold data, and data of the pass before is zeros.
    randomBytes(BLOCK_BYTES).copy(content, 6 * BLOCK_BYTES);
    zero(21);
    await save([6, 21]);
    const last = [6, 21].map((index) => ({ offsetBytes: index * BLOCK_BYTES, lengthBytes: BLOCK_BYTES }));
    expect(await land(2, { dirty: last, dieAfter: 1 })).toEqual({ sent: [], cleared: [21] });
    const landed = await stage().read(record.artifacts['0'] as Artifact, LENGTH);
    expect(hash('sha256', landed)).toBe(hash('sha256', content));
  }, 120_000);

  test('a source that cannot tell what changed has all of it sent again, and holes cleared', async () => {
    for (const pass of [1, 2]) delete record.steps[`upload/0@${pass}`];
    record.steps['upload/0@1'] = { ...(record.steps['upload/0'] as Step), pass: 1 };
    await land(0, { dieAfter: 1 });
    zero(0);
    await save([0]);
    const { sent, cleared } = await land(1, { dieAfter: 1 });
    expect(sent).toHaveLength(BLOCKS - HOLES.length - 1);
    expect(cleared).toEqual(HOLES);
    const landed = await stage().read(record.artifacts['0'] as Artifact, LENGTH);
    expect(hash('sha256', landed)).toBe(hash('sha256', content));
  }, 120_000);
}

class Death extends Error {}

/** As the record is: what is not there yet is asked for again. */
async function patient<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isLate = performance.now() > deadline;
      if (isLate || !(error instanceof LandfallError) || error.code !== 'target-unavailable') throw error;
      await delay(100);
    }
  }
}

function root({ digests }: Artifact): string | undefined {
  return digests.find(({ algorithm }) => algorithm === 'sha256-tree')?.value;
}
