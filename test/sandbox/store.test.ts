import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openStore } from '../../src/sandbox/store.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-store-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('has on disk what an update made, once it resolved', async () => {
  const file = join(folder, 'deep', 'state.json');
  const store = await openStore(file, { count: 0 });
  const seen = await store.update((state) => {
    state.count += 1;
    return state.count;
  });
  expect(seen).toBe(1);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ count: 1 });
  expect((await openStore(file, { count: 9 })).read()).toEqual({ count: 1 });
  expect(await readdir(join(folder, 'deep'))).toEqual(['state.json']);
});

it('keeps every one of many updates at once', async () => {
  const file = join(folder, 'state.json');
  const store = await openStore<Record<string, number>>(file, {});
  await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      store.update((state) => {
        state[`k${index}`] = index;
      }),
    ),
  );
  const kept = JSON.parse(await readFile(file, 'utf8'));
  expect(Object.keys(kept)).toHaveLength(100);
});

it('changes nothing where a change throws', async () => {
  const file = join(folder, 'state.json');
  const store = await openStore(file, { list: [1] });
  await expect(
    store.update((state) => {
      state.list.push(2);
      throw new Error('refused');
    }),
  ).rejects.toThrow('refused');
  expect(store.read()).toEqual({ list: [1] });
});
