import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openConsoleLog, readConsoleLog } from '../../src/boot/console-log.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
});
afterEach(() => rm(folder, { recursive: true }));

test('keeps what was written in order, and after its writer is gone', async () => {
  const log = await openConsoleLog(folder);
  void log.append(Buffer.from('first '));
  void log.append(Buffer.from('second'));
  expect((await log.bytes()).toString()).toBe('first second');
  await log[Symbol.asyncDispose]();
  expect((await readConsoleLog(folder)).toString()).toBe('first second');
});

test('a guest that prints without end fills 1 MiB at most, and its newest output is kept', async () => {
  await using log = await openConsoleLog(folder);
  const block = Buffer.alloc(64 * 1024, 'x');
  for (let written = 0; written < 40; written += 1) await log.append(block);
  await log.append(Buffer.from('the last words'));
  const bytes = await log.bytes();
  expect(bytes.byteLength).toBeGreaterThan(512 * 1024);
  expect(bytes.subarray(-14).toString()).toBe('the last words');
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(1024 * 1024);
});

test('a new boot starts an empty log', async () => {
  const first = await openConsoleLog(folder);
  await first.append(Buffer.alloc(900 * 1024, 'x'));
  await first[Symbol.asyncDispose]();
  await using second = await openConsoleLog(folder);
  expect((await second.bytes()).byteLength).toBe(0);
});

test('a log that cannot be written fails its readers and not its guest', async () => {
  const log = await openConsoleLog(folder);
  await log[Symbol.asyncDispose]();
  await log.append(Buffer.from('lost'));
  await expect(log.bytes()).rejects.toMatchObject({
    message: expect.stringContaining('could not be written'),
  });
});

test('where no guest ever ran there is no output', async () => {
  expect((await readConsoleLog(join(folder, 'nowhere'))).byteLength).toBe(0);
});
