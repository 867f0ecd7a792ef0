import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdtemp, open, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { LandfallError } from '../../src/domain/errors.ts';
import type { Image } from '../../src/domain/image.ts';
import type { Bandwidth, Progress } from '../../src/domain/ports.ts';
import { spoolSource } from '../../src/stages/spool.ts';
import { createMachine, rawImage } from '../fakes/machine.ts';
import { createFakeSource, type FakeSource } from '../fakes/source.ts';
import { createDurableState, createStepContext, type DurableState } from '../fakes/step-context.ts';

const BLOCKS = 64;
const LENGTH = BLOCKS * BLOCK_BYTES - 512;
const machine = createMachine({ diskBytes: LENGTH });

let folder: string;
let path: string;
let content: Buffer;
let source: FakeSource;
let state: DurableState;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-spool-'));
  path = join(folder, 'disk.raw');
  content = randomBytes(LENGTH);
  content.fill(0, 10 * BLOCK_BYTES, 30 * BLOCK_BYTES);
  await using file = await open(path, 'w');
  await file.write(content, 0, 10 * BLOCK_BYTES, 0);
  await file.write(content, 30 * BLOCK_BYTES, LENGTH - 30 * BLOCK_BYTES, 30 * BLOCK_BYTES);
  source = createFakeSource({ machine, images: { '0': rawImage(path, LENGTH) } });
  state = createDurableState();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

function spool({ bandwidth, ...options }: { signal?: AbortSignal; bandwidth?: Bandwidth } = {}): {
  image: Promise<Image>;
  reports: readonly Progress[];
} {
  const own = createStepContext({ state, ...options });
  const context = bandwidth === undefined ? own : { ...own, bandwidth };
  const request = { from: {}, machine, disk: '0', pass: 0, stagingFolder: join(folder, 'staging') };
  return { image: spoolSource(source).export(request, context), reports: context.reports };
}

type Written = Promise<{ bytesWritten: number }>;
type Write = (bytes: Uint8Array, from: number, lengthBytes: number, at: number) => Written;

/** Stands between the copy and its file; writes are numbered from 1. */
async function interceptWrites(
  serve: (number: number, write: (mostBytes?: number) => Written) => Written,
): Promise<void> {
  await using file = await open(path);
  const shared = Object.getPrototypeOf(file) as { write: Write };
  const { write } = shared;
  let number = 0;
  vi.spyOn(shared, 'write').mockImplementation(function (this: unknown, bytes, from, lengthBytes, at) {
    number += 1;
    return serve(number, (most = lengthBytes) =>
      write.call(this, bytes, from, Math.min(most, lengthBytes), at),
    );
  });
}

async function fileOf(image: Image): Promise<string> {
  if (image.layout.kind !== 'single') throw new Error('not a file');
  return image.layout.file.path;
}

it('copies a disk into a sparse file, from which it is read from then on', async () => {
  const image = await spool().image;
  const copy = await fileOf(image);
  expect((await readFile(copy)).equals(content)).toBe(true);
  expect((await stat(copy)).blocks * 512).toBeLessThan(LENGTH - 19 * BLOCK_BYTES);
  await rm(path);
  const spooled = spoolSource(source);
  expect(await spooled.fingerprint(image)).toContain('');
  await using opened = await spooled.open(image, new AbortController().signal);
  expect(opened.bytes).toBe(LENGTH);
});

it('goes on where it was stopped', async () => {
  const stop = new AbortController();
  await interceptWrites(async (number, write) => {
    if (number > 20) await once(stop.signal, 'abort');
    return await write();
  });
  const first = spool({ signal: stop.signal });
  const aborted = expect(first.image).rejects.toThrow('killed');
  await expect.poll(() => first.reports.at(-1)?.doneBytes).toBeGreaterThanOrEqual(20 * BLOCK_BYTES);
  const killed = structuredClone(state);
  const { doneBytes } = first.reports.at(-1) ?? {};
  stop.abort(new Error('killed'));
  await aborted;
  // Whatever was written down on the way out is not there after SIGKILL.
  state = killed;
  vi.restoreAllMocks();
  const second = spool();
  const image = await second.image;
  expect((await readFile(await fileOf(image))).equals(content)).toBe(true);
  expect(second.reports[0]?.doneBytes).toBe(doneBytes);
});

it('is not held up by a bandwidth limit: that is for what is sent to the target', async () => {
  const bandwidth = { take: () => Promise.reject(new Error('was asked for bandwidth')) };
  const copy = await fileOf(await spool({ bandwidth }).image);
  expect((await readFile(copy)).equals(content)).toBe(true);
});

it('reads nothing again once it is whole, and all when the copy is gone', async () => {
  const copy = await fileOf(await spool().image);
  const again = spool();
  await again.image;
  expect(again.reports).toEqual([]);
  await rm(copy);
  const anew = spool();
  expect((await readFile(await fileOf(await anew.image))).equals(content)).toBe(true);
  expect(anew.reports[0]?.doneBytes).toBe(0);
});

it('takes a file that lost its bytes for a new one, also where the file system tells no time of birth', async () => {
  const copy = await fileOf(await spool().image);
  await truncate(copy, 0);
  await spool().image;
  expect((await readFile(copy)).equals(content)).toBe(true);
});

it('is whole where a file system that is nearly full takes a block in two pieces', async () => {
  await interceptWrites((number, write) => (number === 3 ? write(300_000) : write()));
  const copy = await fileOf(await spool().image);
  expect((await readFile(copy)).equals(content)).toBe(true);
});

it('says that staging is full, and goes on when there is room again', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  await interceptWrites((number, write) => (number > 20 ? Promise.reject(full) : write()));
  const failure = await spool().image.catch((error: LandfallError) => error);
  expect(failure).toMatchObject({ code: 'no-space', retryable: true });
  // Of 44 blocks, those that are there already are needed no more.
  expect((failure as LandfallError).context.neededBytes).toBeLessThanOrEqual(25 * BLOCK_BYTES);
  expect((failure as LandfallError).message).toMatch(/needs about 1[0-9.]+ MiB more in /);
  vi.restoreAllMocks();
  const second = spool();
  expect((await readFile(await fileOf(await second.image))).equals(content)).toBe(true);
  expect(second.reports[0]?.doneBytes).toBeGreaterThan(0);
});

it('leaves allocated zeros out of what is copied', async () => {
  await using file = await open(path, 'r+');
  await file.write(Buffer.alloc(8 * BLOCK_BYTES), 0, 8 * BLOCK_BYTES, 12 * BLOCK_BYTES);
  const { image, reports } = spool();
  await image;
  const dataBytes = LENGTH - 20 * BLOCK_BYTES;
  expect(reports.at(-1)).toMatchObject({ doneBytes: dataBytes, totalBytes: dataBytes });
});

it('keeps no digests once it is whole', async () => {
  await spool().image;
  expect([...state.checkpointBytes.keys()]).toEqual([]);
});

it('mixes no two states of its source', async () => {
  const copy = await fileOf(await spool().image);
  await appendFile(path, Buffer.alloc(1));
  await using file = await open(path, 'r+');
  await file.truncate(LENGTH);
  const fresh = randomBytes(BLOCK_BYTES);
  await file.write(fresh, 0, BLOCK_BYTES, 15 * BLOCK_BYTES);
  await file.write(Buffer.alloc(BLOCK_BYTES), 0, BLOCK_BYTES, 0);
  const now = await readFile(path);
  await spool().image;
  expect((await readFile(copy)).equals(now)).toBe(true);
});

it('fails loudly where the source changes, or its machine is started, under the copy', async () => {
  let looks = 0;
  source.onFingerprint = async () => {
    looks += 1;
    if (looks === 2) await appendFile(path, 'more');
  };
  await expect(spool().image).rejects.toMatchObject({ code: 'source-changed' });
  await using file = await open(path, 'r+');
  await file.truncate(LENGTH);
  source.onFingerprint = async () => {
    source.power = 'on';
  };
  await expect(spool().image).rejects.toMatchObject({ code: 'source-not-off' });
});
