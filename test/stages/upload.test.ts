/** Long: one fixture, a disk and a target that outlive attempts, serves every way in which an upload can be disturbed. */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, open, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { UploadForm } from '../../src/domain/image.ts';
import type { Artifact } from '../../src/domain/landing.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { Progress } from '../../src/domain/ports.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { MAX_UNSAVED_PARTS } from '../../src/stages/upload-parts.ts';
import { rootOf } from '../fakes/digest-root.ts';
import { createFakeEvidence, type FakeEvidence } from '../fakes/evidence.ts';
import { createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createDurableState, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget, type FakeTarget } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

const PART = 2 ** 20;
const BLOCKS = 40;
/** The last block is short. */
const LENGTH = BLOCK_BYTES * BLOCKS - 1024;
/** Allocated, and full of zeros. */
const ZEROS = [5, 6, 7];
/** Never written: a hole. */
const HOLES = [20, 21, 22, 23];
const DATA = Array.from({ length: BLOCKS }, (_, index) => index).filter(
  (index) => !ZEROS.includes(index) && !HOLES.includes(index),
);
const HOLE_BYTES = HOLES.length * BLOCK_BYTES;

const FORMS: UploadForm[] = [
  { kind: 'parts', container: 'raw' },
  { kind: 'blocks', blockBytes: BLOCK_BYTES },
];

let folder: string;
let path: string;
let content: Buffer;
let record: MachineRecord;
let state: DurableState;
let evidence: FakeEvidence;
let target: FakeTarget;
let form: UploadForm;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-upload-'));
  path = join(folder, 'disk.raw');
  state = createDurableState();
  evidence = createFakeEvidence();
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

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

function attempt(options: Parameters<typeof createAttempt>[0] = {}): Attempt {
  return createAttempt({ record, state, target, evidence, ...options });
}

async function upload(input: Attempt): Promise<Artifact> {
  const outcome = await runStep(input);
  if (outcome.kind !== 'done' || outcome.value.stage !== 'upload') throw new Error('not uploaded');
  return outcome.value.artifact;
}

function digest(artifact: Artifact, algorithm: string): string | undefined {
  return artifact.digests.find((candidate) => candidate.algorithm === algorithm)?.value;
}

/** The numbers of what was acknowledged since the last call. */
function takeWritten(): number[] {
  const numbers = target.written.map(({ number }) => number).sort((a, b) => a - b);
  target.written = [];
  return numbers;
}

/** An attempt that dies when part or block `number` is about to be stored; gives what came through. */
async function dieAt(number: number): Promise<number[]> {
  target.beforeWrite = async (write) => {
    if (write.number >= number) throw new Error('killed');
  };
  await expect(upload(attempt())).rejects.toThrow('killed');
  target.beforeWrite = async () => {};
  return takeWritten();
}

describe.each(FORMS)('a disk in $kind', (chosen) => {
  beforeEach(() => begin(chosen));

  it('arrives as it is, and its digests are kept with it', async () => {
    const artifact = await upload(attempt());
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    expect(evidence.files.has('run-1/web01/disk-0.digests')).toBe(true);
    expect([...state.checkpoints.keys()].filter((key) => key.includes('/upload/'))).toEqual([]);
  });

  it('reports only what was acknowledged, never going back, holes apart', async () => {
    const input = attempt();
    await upload(input);
    const done = input.context.reports.map((report) => report.doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done[0]).toBe(0);
    const last = input.context.reports.at(-1);
    expect(last?.doneBytes).toBe(last?.totalBytes);
    expect(input.context.reports.every(({ doneBytes, totalBytes }) => doneBytes <= totalBytes)).toBe(true);
    expect(input.context.reports[0]?.zeroBytes).toBe(HOLE_BYTES);
    // And the last word forgets none of them.
    expect(last?.zeroBytes).toBe(input.context.reports.at(-2)?.zeroBytes);
  });

  it.skipIf(chosen.kind !== 'parts')(
    'lets no more parts overtake a slow one than a kill may cost',
    async () => {
      const begun = new Set<number>();
      const first = Promise.withResolvers<void>();
      target.beforeWrite = async ({ number }) => {
        begun.add(number);
        if (number === 1) await first.promise;
      };
      const uploading = upload(attempt());
      await expect.poll(() => begun.size).toBe(MAX_UNSAVED_PARTS);
      // As long as the parts so far took several times over: one more would have begun.
      await setTimeout(300);
      expect([...begun].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      first.resolve();
      await uploading;
      expect(target.contentOf('0').equals(content)).toBe(true);
    },
  );

  it('goes on where a killed attempt stopped, and arrives identical', async () => {
    const held = await dieAt(form.kind === 'parts' ? 8 : 30);
    expect(held.length).toBeGreaterThan(4);
    const input = attempt();
    const artifact = await upload(input);
    const again = takeWritten();
    // At most what was under way: parts are sent four at once, and only an unbroken row of them counts.
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(again.length).toBeLessThan(form.kind === 'parts' ? 20 : DATA.length);
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    expect(input.context.reports[0]?.doneBytes).toBeGreaterThan(0);
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/Upload of disk 0 goes on/) }),
    );
  });

  it('reports nothing that a successor would not find held', async () => {
    const input = attempt();
    const { report } = input.context;
    let killed: DurableState | null = null;
    let reportedBytes = 0;
    const look = (progress: Progress): void => {
      report(progress);
      if (killed !== null || progress.doneBytes < 4 * BLOCK_BYTES) return;
      killed = structuredClone(state);
      reportedBytes = progress.doneBytes;
    };
    target.beforeWrite = async () => {
      if (killed !== null) throw new Error('killed');
      await setTimeout(20);
    };
    const context = { ...input.context, report: look };
    await expect(upload({ ...input, context })).rejects.toThrow('killed');
    target.beforeWrite = async () => {};
    const successor = attempt({ state: killed ?? state });
    await upload(successor);
    expect(successor.context.reports[0]?.doneBytes).toBe(reportedBytes);
  });

  it('gives the same artifact as an upload that was never disturbed', async () => {
    await dieAt(4);
    await dieAt(9);
    const resumed = await upload(attempt());
    const undisturbed = createFakeTarget({ form, partBytes: PART });
    const other = attempt({
      target: undisturbed,
      state: createDurableState(),
      evidence: createFakeEvidence(),
    });
    expect(resumed).toEqual(await upload(other));
  });

  it('arrives whole when its checkpoints are lost', async () => {
    await dieAt(8);
    await upload(attempt({ state: createDurableState() }));
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('starts again, and says so, when the target let the upload expire', async () => {
    await dieAt(8);
    target.expire('0');
    takeWritten();
    const input = attempt();
    await upload(input);
    expect(takeWritten().length).toBe(form.kind === 'parts' ? 20 : DATA.length);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('fails loudly where a sent block reads differently although the fingerprint is the same', async () => {
    await dieAt(8);
    const { atime, mtime } = await stat(path);
    await using file = await open(path, 'r+');
    await file.write(randomBytes(LENGTH - HOLE_BYTES - 16 * BLOCK_BYTES), 0);
    await utimes(path, atime, mtime);
    const source = createFakeSource({ machine: record.machine, images: record.images });
    source.fingerprint = async () => 'as ever';
    for (const [key, value] of state.checkpoints) {
      state.checkpoints.set(key, value.replace(/"contentId":"[^"]*"/, '"contentId":"as ever"'));
    }
    const held = target.uploads.get('0');
    if (held !== undefined) held.contentId = 'as ever';
    await expect(upload(attempt({ source }))).rejects.toMatchObject({
      code: 'source-changed',
      message: expect.stringMatching(/offset \d+/),
    });
    expect(target.finishes).toBe(0);
  });

  it('sends nothing that an earlier attempt finished, and gives the same artifact', async () => {
    const first = await upload(attempt());
    takeWritten();
    expect(await upload(attempt())).toEqual(first);
    expect(takeWritten()).toEqual([]);
    expect(target.finishes).toBe(1);
  });

  it('has all digests of what an earlier attempt finished, also where its checkpoints were lost', async () => {
    const first = await upload(attempt());
    const lost = attempt({ state: createDurableState(), evidence: createFakeEvidence() });
    expect(await upload(lost)).toEqual(first);
    expect(target.finishes).toBe(1);
  });

  it('has all digests also where Redis lost its last second under an attempt that lived on', async () => {
    target.afterWrite = async ({ number }) => {
      if (number !== 8) return;
      state.checkpoints.clear();
      state.checkpointBytes.clear();
    };
    await dieAt(16);
    target.afterWrite = async () => {};
    const artifact = await upload(attempt());
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
  });

  it('keeps the digests when it is killed between the target and the evidence', async () => {
    evidence.failure = new Error('killed');
    await expect(upload(attempt())).rejects.toThrow('killed');
    evidence.failure = null;
    takeWritten();
    const artifact = await upload(attempt());
    expect(takeWritten()).toEqual([]);
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
  });

  it('leaves no checkpoint behind where it was killed right after it was finished', async () => {
    const killed = attempt();
    const { openUpload } = target;
    target.openUpload = async (...request) => {
      const sink = await openUpload(...request);
      const finish = async (...all: Parameters<typeof sink.finish>): Promise<never> => {
        await (sink.finish as (...all: unknown[]) => Promise<Artifact>)(...all);
        throw new Error('killed');
      };
      return { ...sink, finish } as typeof sink;
    };
    await expect(upload(killed)).rejects.toThrow('killed');
    target.openUpload = openUpload;
    const artifact = await upload(attempt());
    expect(digest(artifact, 'sha256-tree')).toBe(await rootOf(content));
    const left = [...state.checkpoints.keys(), ...state.checkpointBytes.keys()];
    expect(left.filter((key) => key.includes('/upload/'))).toEqual([]);
  });

  it('says what to do about a run that another version began', async () => {
    const prepared = {
      '0': { container: 'raw', lengthBytes: LENGTH },
    } as unknown as MachineRecord['prepared'];
    const input = attempt({ record: { ...record, prepared } });
    await expect(upload(input)).rejects.toMatchObject({
      retryable: false,
      message: expect.stringContaining('`landfall discard`'),
    });
  });

  it('says how far it came when the target refuses', async () => {
    target.beforeWrite = async ({ number }) => {
      if (number > 8) {
        throw new LandfallError({ code: 'target-denied', message: 'the bucket denied PutObject.' });
      }
    };
    await expect(upload(attempt())).rejects.toMatchObject({
      code: 'target-denied',
      retryable: false,
      message: expect.stringMatching(
        /^Upload of web01 disk 0 stopped at .* of .* MiB: the bucket denied PutObject\.$/,
      ),
    });
  });

  it('is never finished when its source changed under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number === 10) await appendFile(path, 'more');
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is never finished when its source was replaced under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number !== 10) return;
      await writeFile(`${path}.new`, content);
      await rename(`${path}.new`, path);
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is stopped in mid-copy when its machine is started', async () => {
    const source = createFakeSource({ machine: record.machine, images: record.images });
    target.beforeWrite = async ({ number }, signal) => {
      if (number < 10) return;
      source.power = 'on';
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await expect(upload(attempt({ source }))).rejects.toMatchObject({ code: 'source-not-off' });
    expect(target.finishes).toBe(0);
  });

  it('stops at once when aborted, keeps what is durable and rejects with the reason', async () => {
    const stop = new AbortController();
    let abortedMs = Number.POSITIVE_INFINITY;
    target.beforeWrite = async ({ number }, signal) => {
      if (number < 10) return;
      setImmediate(() => {
        abortedMs = Math.min(abortedMs, performance.now());
        stop.abort(new Error('worker stops'));
      });
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await expect(upload(attempt({ signal: stop.signal }))).rejects.toThrow('worker stops');
    expect(performance.now() - abortedMs).toBeLessThan(1_000);
    const held = takeWritten();
    target.beforeWrite = async () => {};
    await upload(attempt());
    const again = takeWritten();
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });
});

describe('parts', () => {
  beforeEach(() => begin({ kind: 'parts', container: 'raw' }));

  it('are sent four at once', async () => {
    let inFlight = 0;
    let most = 0;
    target.beforeWrite = async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await setTimeout(10);
      inFlight -= 1;
    };
    await upload(attempt());
    expect(most).toBe(4);
  });

  it('are known by their checksum where the target gives equal bytes another ETag', async () => {
    const held = await dieAt(8);
    const { openUpload } = target;
    target.openUpload = async (...request) => {
      const sink = await openUpload(...request);
      if (sink.kind !== 'parts') return sink;
      const other = [...sink.held].map(
        ([number, part]) => [number, { ...part, etag: `kms-${number}` }] as const,
      );
      return { ...sink, held: new Map(other) };
    };
    await upload(attempt());
    const again = takeWritten();
    expect(again.filter((number) => held.includes(number)).length).toBeLessThanOrEqual(3);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('are all sent again where one is not held as it was acknowledged', async () => {
    await dieAt(8);
    target.uploads.get('0')?.held.set(3, Buffer.alloc(PART, 1));
    const input = attempt();
    await upload(input);
    expect(takeWritten()).toContain(1);
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/starts again: part 3/) }),
    );
    expect(target.contentOf('0').equals(content)).toBe(true);
  });
});

describe('blocks', () => {
  beforeEach(() => begin({ kind: 'blocks', blockBytes: BLOCK_BYTES }));

  it('of zeros are not sent, whether they are allocated or not', async () => {
    await upload(attempt());
    expect(takeWritten()).toEqual(DATA);
  });
});
