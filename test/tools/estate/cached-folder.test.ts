import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTool } from '../../../src/processes/child.ts';
import { lockFolder } from '../../../tools/estate/build-lock.ts';
import { provideFolder } from '../../../tools/estate/cached-folder.ts';

let ground: string;
beforeEach(async () => {
  ground = await mkdtemp(join(tmpdir(), 'landfall-test-'));
});
afterEach(() => rm(ground, { recursive: true }));

function build(content: string, recipe = content): { runs: number; provide: () => Promise<void> } {
  const state = {
    runs: 0,
    provide: () =>
      provideFolder({
        folder: join(ground, 'thing'),
        recipe,
        build: async (partial) => {
          state.runs += 1;
          await writeFile(join(partial, 'content'), content);
        },
      }),
  };
  return state;
}

test('a folder is built once for a recipe, also by two builders at once, and anew for another', async () => {
  const first = build('first');
  await Promise.all([first.provide(), first.provide(), first.provide()]);
  expect(first.runs).toBe(1);
  await build('second').provide();
  expect(await readFile(join(ground, 'thing', 'content'), 'utf8')).toBe('second');
});

test('a build that fails leaves the finished folder as it was, and the next build starts clean', async () => {
  await build('kept').provide();
  const failing = provideFolder({
    folder: join(ground, 'thing'),
    recipe: 'other',
    build: async (partial) => {
      await writeFile(join(partial, 'rubbish'), '');
      throw new Error('the disk is full');
    },
  });
  await expect(failing).rejects.toThrow('the disk is full');
  expect(await readFile(join(ground, 'thing', 'content'), 'utf8')).toBe('kept');
  await build('next').provide();
  expect(await readdir(ground)).toEqual(['thing']);
  expect((await readdir(join(ground, 'thing'))).sort()).toEqual(['content', 'recipe']);
});

test('a folder without its recipe is taken for unfinished', async () => {
  await mkdir(join(ground, 'thing'));
  await writeFile(join(ground, 'thing', 'rubbish'), '');
  await build('whole').provide();
  expect(await readdir(join(ground, 'thing'))).not.toContain('rubbish');
});

test('a lock is given back by a process that is killed', async () => {
  const script = `
    const { lockFolder } = await import(process.argv[1]);
    await lockFolder(process.argv[2]);
    console.log('locked');`;
  const held = Promise.withResolvers<void>();
  await using holder = await startTool({
    command: process.execPath,
    args: [
      ...['--input-type=module', '-e', script, '--'],
      ...[join(import.meta.dirname, '../../../tools/estate/build-lock.ts'), ground],
    ],
    onLine: () => held.resolve(),
  });
  await held.promise;
  await expect(lockFolder(ground, AbortSignal.timeout(100))).rejects.toThrow();
  const waiting = lockFolder(ground);
  process.kill(holder.pid, 'SIGKILL');
  await using _lock = await waiting;
});

test('every waiter gets the lock in the end', async () => {
  let holders = 0;
  const take = async (): Promise<void> => {
    await using _lock = await lockFolder(ground);
    holders += 1;
    expect(holders).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    holders -= 1;
  };
  await Promise.all(Array.from({ length: 8 }, take));
});
