/**
 * A long file: one fixture, a file and a target that outlive attempts, serves every way in which an upload can be
 * disturbed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { crc32, crc32ToHex } from '../../src/blocks/crc32.ts';
import { fingerprintFile } from '../../src/blocks/file-fingerprint.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Artifact } from '../../src/domain/landing.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createRecord, rawImage } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createDurableState, type DurableState } from '../fakes/step-context.ts';
import { createFakeTarget, type FakeTarget } from '../fakes/target.ts';
import { type Attempt, createAttempt } from './attempt.ts';

const PART = 64 * 1024;
const PARTS = 40;
/** The last part is short. */
const LENGTH = PART * PARTS - 1000;
const ALL_NUMBERS = Array.from({ length: PARTS }, (_, index) => index + 1);

let folder: string;
let path: string;
let content: Buffer;
let record: MachineRecord;
let state: DurableState;
let target: FakeTarget;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-upload-'));
  path = join(folder, 'disk.raw');
  content = randomBytes(LENGTH);
  await writeFile(path, content);
  record = await prepare({ isStaged: true });
  state = createDurableState();
  target = createFakeTarget({ partBytes: PART });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function prepare({ isStaged }: { isStaged: boolean }): Promise<MachineRecord> {
  const prepared = {
    container: 'raw' as const,
    file: { path, offsetBytes: 0, lengthBytes: null },
    lengthBytes: LENGTH,
    isStaged,
    fingerprint: await fingerprintFile(path),
  };
  return { ...createRecord(), images: { '0': rawImage(path, LENGTH) }, prepared: { '0': prepared } };
}

function attempt(options: Parameters<typeof createAttempt>[0] = {}): Attempt {
  return createAttempt({ record, state, target, ...options });
}

async function upload(input: Attempt): Promise<Artifact> {
  const outcome = await runStep(input);
  if (outcome.kind !== 'done' || outcome.value.stage !== 'upload') throw new Error('not uploaded');
  return outcome.value.artifact;
}

function digest(artifact: Artifact, algorithm: string): string | undefined {
  return artifact.digests.find((candidate) => candidate.algorithm === algorithm)?.value;
}

/**
 * An attempt that dies when part `number` is about to be stored. The other lanes may lose the parts they are at, too:
 * gives the numbers of the parts that came through.
 */
async function dieAt(number: number): Promise<number[]> {
  target.beforeWrite = async (part) => {
    if (part.number >= number) throw new Error('killed');
  };
  await expect(upload(attempt())).rejects.toThrow('killed');
  target.beforeWrite = async () => {};
  return takeWritten();
}

/** The numbers of the parts that were acknowledged since the last call. */
function takeWritten(): number[] {
  const numbers = target.written.map(({ number }) => number).sort((a, b) => a - b);
  target.written = [];
  return numbers;
}

function numbersBut(held: readonly number[]): number[] {
  return ALL_NUMBERS.filter((number) => !held.includes(number));
}

describe('a first upload', () => {
  it('sends every part once and gives the digests of the whole', async () => {
    const artifact = await upload(attempt());
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(takeWritten()).toEqual(ALL_NUMBERS);
    const root = createHash('sha256');
    for (let at = 0; at < LENGTH; at += PART) {
      root.update(
        createHash('sha256')
          .update(content.subarray(at, at + PART))
          .digest(),
      );
    }
    expect(digest(artifact, 'sha256-parts')).toBe(root.digest('hex'));
    expect(digest(artifact, 'crc32')).toBe(crc32ToHex(crc32(content)));
  });

  it('sends a slice of a larger file', async () => {
    const slice = { path, offsetBytes: 70_000, lengthBytes: 100_000 };
    const prepared = record.prepared['0'];
    if (prepared === undefined) throw new Error('unprepared');
    record = { ...record, prepared: { '0': { ...prepared, file: slice, lengthBytes: 100_000 } } };
    await upload(attempt());
    expect(target.contentOf('0').equals(content.subarray(70_000, 170_000))).toBe(true);
  });

  it('has at most four parts in flight', async () => {
    let inFlight = 0;
    let most = 0;
    target.beforeWrite = async () => {
      inFlight += 1;
      most = Math.max(most, inFlight);
      await new Promise((resolve) => setTimeout(resolve, 2));
      inFlight -= 1;
    };
    await upload(attempt());
    expect(most).toBe(4);
  });

  it('reports only what was acknowledged, never going back', async () => {
    const input = attempt();
    let acknowledged = 0;
    target.afterWrite = async ({ number }) => {
      expect(input.context.reports.at(-1)?.doneBytes ?? 0).toBeLessThanOrEqual(acknowledged);
      acknowledged += number === PARTS ? PART - 1000 : PART;
    };
    await upload(input);
    const done = input.context.reports.map((report) => report.doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(input.context.reports[0]?.doneBytes).toBe(0);
    expect(done.at(-1)).toBe(LENGTH);
  });

  it('says how far it came when the target refuses', async () => {
    target.beforeWrite = async ({ number }) => {
      if (number > 20) {
        throw new LandfallError({ code: 'target-denied', message: 'the bucket denied PutObject.' });
      }
    };
    await expect(upload(attempt())).rejects.toMatchObject({
      code: 'target-denied',
      retryable: false,
      message: 'Upload of web01 disk 0 stopped at 1.3 MiB of 2.5 MiB: the bucket denied PutObject.',
    });
  });
});

describe('an upload after a killed one', () => {
  it('sends only the parts that are not held, and the object is identical', async () => {
    const held = await dieAt(25);
    expect(held.length).toBeGreaterThanOrEqual(20);
    const input = attempt();
    const artifact = await upload(input);
    expect(takeWritten()).toEqual(numbersBut(held));
    expect(target.contentOf('0').equals(content)).toBe(true);
    expect(digest(artifact, 'crc32')).toBe(crc32ToHex(crc32(content)));
    expect(input.context.reports[0]?.doneBytes).toBe(held.length * PART);
  });

  it('gives the same artifact as an upload that was never disturbed', async () => {
    await dieAt(13);
    await dieAt(31);
    const resumed = await upload(attempt());
    const undisturbed = createFakeTarget({ partBytes: PART });
    expect(resumed).toEqual(await upload(attempt({ target: undisturbed, state: createDurableState() })));
  });

  it('does not send a part again that was stored but never acknowledged', async () => {
    target.afterWrite = async ({ number }) => {
      if (number === 7) throw new Error('killed');
    };
    await expect(upload(attempt())).rejects.toThrow('killed');
    target.afterWrite = async () => {};
    takeWritten();
    await upload(attempt());
    expect(takeWritten()).not.toContain(7);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('reads held parts again, and sends none, when its checkpoints are lost', async () => {
    const held = await dieAt(25);
    const input = attempt({ state: createDurableState() });
    await upload(input);
    expect(takeWritten()).toEqual(numbersBut(held));
    const counts = { heldParts: held.length, readAgain: held.length };
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ fields: expect.objectContaining(counts) }),
    );
  });

  it('reads the last held part and sixteen others again where checkpoints know them all', async () => {
    const held = await dieAt(31);
    const input = attempt();
    await upload(input);
    const counts = { heldParts: held.length, readAgain: 17 };
    expect(input.context.logs).toContainEqual(
      expect.objectContaining({ fields: expect.objectContaining(counts) }),
    );
  });

  it('sends a part again that the target holds with another length or other bytes', async () => {
    await dieAt(25);
    const parts = target.uploads.get('0')?.parts;
    parts?.set(3, Buffer.alloc(10));
    parts?.set(4, Buffer.alloc(PART, 1));
    await upload(attempt());
    expect(takeWritten().slice(0, 2)).toEqual([3, 4]);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('believes a target that tells no CRC only what its own checkpoints confirm', async () => {
    target = createFakeTarget({ partBytes: PART, tellsCrc: false });
    const held = await dieAt(25);
    const { uploads } = target;
    await upload(attempt());
    expect(takeWritten()).toEqual(numbersBut(held));

    target = createFakeTarget({ partBytes: PART, tellsCrc: false });
    const parts = uploads.get('0')?.parts ?? new Map();
    target.uploads.set('0', { parts: new Map(parts), artifact: null });
    await upload(attempt({ target, state: createDurableState() }));
    expect(takeWritten()).toEqual(ALL_NUMBERS);
  });

  it('takes no checkpoint of another file for its own', async () => {
    await dieAt(25);
    content = randomBytes(LENGTH);
    await writeFile(path, content);
    record = await prepare({ isStaged: true });
    await upload(attempt());
    expect(takeWritten()).toEqual(ALL_NUMBERS);
    expect(target.contentOf('0').equals(content)).toBe(true);
  });

  it('fails loudly where a sent part reads differently although the fingerprint is the same', async () => {
    await dieAt(20);
    await writeFile(path, randomBytes(LENGTH));
    const fingerprint = await fingerprintFile(path);
    const old = record.prepared['0']?.fingerprint ?? '';
    const prepared = record.prepared['0'];
    if (prepared === undefined) throw new Error('unprepared');
    record = { ...record, prepared: { '0': { ...prepared, fingerprint } } };
    const key = 'run-1/web01/upload/0';
    state.checkpoints.set(key, (state.checkpoints.get(key) ?? '').replace(old, fingerprint));
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });
});

describe('an upload that an earlier attempt finished', () => {
  it('sends nothing and gives the same artifact', async () => {
    const first = await upload(attempt());
    target.written = [];
    expect(await upload(attempt())).toEqual(first);
    expect(target.written).toEqual([]);
    expect(target.finishes).toBe(1);
  });

  it('knows the digests even when its checkpoints are lost', async () => {
    const first = await upload(attempt());
    expect(await upload(attempt({ state: createDurableState() }))).toEqual(first);
  });

  it('refuses an object that does not equal the file', async () => {
    await upload(attempt());
    await writeFile(path, randomBytes(LENGTH));
    record = await prepare({ isStaged: true });
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'digest-mismatch', retryable: false });
  });
});

describe('a file that does not stay as it was', () => {
  it('is refused before a byte is sent', async () => {
    await appendFile(path, 'more');
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed', retryable: false });
    expect(target.written).toEqual([]);
  });

  it('is never finished when it changed under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number === 30) await appendFile(path, 'more');
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is never finished when it was replaced under the copy', async () => {
    target.afterWrite = async ({ number }) => {
      if (number !== 30) return;
      await writeFile(`${path}.new`, content);
      await rename(`${path}.new`, path);
    };
    await expect(upload(attempt())).rejects.toMatchObject({ code: 'source-changed' });
    expect(target.finishes).toBe(0);
  });

  it('is never finished when its machine was started under the copy', async () => {
    record = await prepare({ isStaged: false });
    const source = createFakeSource({ machine: record.machine, images: record.images });
    target.afterWrite = async ({ number }) => {
      if (number === 30) source.power = 'on';
    };
    await expect(upload(attempt({ source }))).rejects.toMatchObject({ code: 'source-not-off' });
    expect(target.finishes).toBe(0);
  });

  it('is stopped in mid-copy when its machine is started', async () => {
    record = await prepare({ isStaged: false });
    const source = createFakeSource({ machine: record.machine, images: record.images });
    target.beforeWrite = async ({ number }, signal) => {
      if (number < 10) return;
      source.power = 'on';
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    await expect(upload(attempt({ source }))).rejects.toMatchObject({ code: 'source-not-off' });
    expect(takeWritten().length).toBeLessThan(10);
  });

  it('names staging and the remedy when the staged file is gone', async () => {
    await rm(path);
    await expect(upload(attempt())).rejects.toMatchObject({
      code: 'image-missing',
      message: expect.stringMatching(/gone from staging.*landfall discard run-1 web01/),
    });
    await writeFile(path, content);
  });
});

describe('an aborted upload', () => {
  it('stops at once, keeps what is durable and rejects with the reason', async () => {
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
    expect(held.length).toBeGreaterThanOrEqual(6);
    target.beforeWrite = async () => {};
    await upload(attempt());
    expect(takeWritten()).toEqual(numbersBut(held));
    expect(target.contentOf('0').equals(content)).toBe(true);
  });
});
