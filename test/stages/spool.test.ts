import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { Image } from '../../src/domain/image.ts';
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
  await rm(folder, { recursive: true });
});

function spool(options: { signal?: AbortSignal } = {}): {
  image: Promise<Image>;
  reports: readonly { doneBytes: number }[];
} {
  const context = createStepContext({ state, ...options });
  const request = { from: {}, machine, disk: '0', pass: 0, stagingFolder: join(folder, 'staging') };
  return { image: spoolSource(source).export(request, context), reports: context.reports };
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
  const first = spool({ signal: stop.signal });
  const aborted = expect(first.image).rejects.toThrow('killed');
  while ((first.reports.at(-1)?.doneBytes ?? 0) < 10 * BLOCK_BYTES)
    await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error('killed'));
  await aborted;
  const second = spool();
  const image = await second.image;
  expect((await readFile(await fileOf(image))).equals(content)).toBe(true);
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
