import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Checkpoints } from '../../src/domain/ports.ts';
import { type DigestLedger, openDigestLedger } from '../../src/stages/digest-ledger.ts';
import { createDurableState, createStepContext, type DurableState } from '../fakes/step-context.ts';

const BLOCK = 512 * 1024;
const PAGE_OF_DISK = 128 * BLOCK;
const IDENTITY = { fingerprint: 'inode 7', upload: 'snap-1' };
const leaf = (name: number): Buffer => createHash('sha256').update(String(name)).digest();

type Options = { identity?: typeof IDENTITY; diskBytes?: number; key?: string };

/** Another attempt at the same step opens another ledger over the same durable state. */
function open(checkpoints: Checkpoints, options: Options = {}): Promise<DigestLedger> {
  const { identity = IDENTITY, diskBytes = 3 * PAGE_OF_DISK, key = 'upload/0' } = options;
  return openDigestLedger({ checkpoints, key, identity, diskBytes });
}

function durable(): { state: DurableState; checkpoints: Checkpoints } {
  const state = createDurableState();
  return { state, checkpoints: createStepContext({ state }).checkpoints };
}

/** Checkpoints whose binary writes wait until the test lets them go, or fails them. */
function heldUp(checkpoints: Checkpoints) {
  const writes: { key: string; pass(): void; fail(error: Error): void }[] = [];
  const held: Checkpoints = {
    ...checkpoints,
    setBytes: (key, bytes) =>
      new Promise((resolve, reject) => {
        const pass = (): void => resolve(checkpoints.setBytes(key, bytes));
        writes.push({ key, pass, fail: reject });
      }),
  };
  return { held, writes };
}

test('another attempt knows what was saved, and nothing of what was not', async () => {
  const { checkpoints } = durable();
  const first = await open(checkpoints);
  expect(first.isNew).toBe(true);
  first.set(0, leaf(0));
  first.set(200, leaf(200));
  await first.save();
  first.set(1, leaf(1));
  const second = await open(checkpoints);
  expect(second.isNew).toBe(false);
  expect([...second.tree.heldBlocks()]).toEqual([0, 200]);
  expect(second.tree.get(200)).toEqual(leaf(200));
  expect([second.isKnown(0), second.isKnown(1)]).toEqual([true, false]);
  expect(second.knownBytes()).toBe(2 * BLOCK);
});

test('an attempt is new until one saved, and be it that all was zeros', async () => {
  const { state, checkpoints } = durable();
  await open(checkpoints);
  expect([...state.checkpoints, ...state.checkpointBytes]).toEqual([]);
  const ledger = await open(checkpoints);
  expect(ledger.isNew).toBe(true);
  await ledger.prepareSave()?.();
  expect(ledger.prepareSave()).toBeNull();
  expect((await open(checkpoints)).isNew).toBe(false);
});

test('opening it after it was cleared does not make it look begun', async () => {
  const { checkpoints } = durable();
  const ledger = await open(checkpoints);
  ledger.set(0, leaf(0));
  await ledger.save();
  await ledger.clear();
  await open(checkpoints);
  expect((await open(checkpoints)).isNew).toBe(true);
});

test('counts the last block only as far as the disk goes', async () => {
  const ledger = await open(durable().checkpoints, { diskBytes: BLOCK + 5 });
  ledger.set(0, leaf(0));
  ledger.set(1, leaf(1));
  expect(ledger.knownBytes()).toBe(BLOCK + 5);
});

test('a block that became zeros is forgotten by the next attempt', async () => {
  const { checkpoints } = durable();
  const first = await open(checkpoints);
  first.set(5, leaf(5));
  await first.save();
  first.set(5, null);
  await first.save();
  expect((await open(checkpoints)).isKnown(5)).toBe(false);
});

test('digests of another source, upload or length are gone before the header speaks for new ones', async () => {
  for (const other of [{ identity: { ...IDENTITY, upload: 'snap-2' } }, { diskBytes: PAGE_OF_DISK }]) {
    const { state, checkpoints } = durable();
    const old = await open(checkpoints);
    for (const index of [0, 200, 383]) old.set(index, leaf(index));
    await old.save();
    let pagesAtHeader = -1;
    const watched: Checkpoints = {
      ...checkpoints,
      set: async (key, value) => {
        pagesAtHeader = state.checkpointBytes.size;
        await checkpoints.set(key, value);
      },
    };
    const next = await open(watched, other);
    await next.save();
    expect(pagesAtHeader).toBe(0);
    expect(next.isNew).toBe(true);
    expect(next.tree.countHeld()).toBe(0);
    expect((await open(checkpoints)).isNew).toBe(true);
  }
});

test('a kill while it is cleared leaves nothing that a later attempt would believe', async () => {
  const { state, checkpoints } = durable();
  const ledger = await open(checkpoints);
  for (const index of [0, 200]) ledger.set(index, leaf(index));
  await ledger.save();
  const dying: Checkpoints = {
    ...checkpoints,
    delete: async (...keys) => {
      if (keys.includes('upload/0/digests/0')) throw new Error('killed');
      await checkpoints.delete(...keys);
    },
  };
  await expect((await open(dying)).clear()).rejects.toThrow('killed');
  const next = await open(checkpoints);
  expect([next.isNew, next.tree.countHeld(), state.checkpointBytes.size]).toEqual([true, 0, 0]);
});

test('when it is cleared nothing is left of it, and the ledger of another disk is as it was', async () => {
  const { state, checkpoints } = durable();
  const other = await open(checkpoints, { key: 'upload/1' });
  other.set(7, leaf(7));
  await other.save();
  const ledger = await open(checkpoints);
  ledger.set(0, leaf(0));
  void ledger.save();
  await ledger.clear();
  expect([...state.checkpoints.keys(), ...state.checkpointBytes.keys()]).toEqual([
    'run-1/web01/upload/1/digests',
    'run-1/web01/upload/1/digests/0',
  ]);
  expect((await open(checkpoints, { key: 'upload/1' })).isKnown(7)).toBe(true);
});

test('a page that is none tells nothing', async () => {
  const { state, checkpoints } = durable();
  const ledger = await open(checkpoints, { diskBytes: BLOCK });
  ledger.set(0, leaf(0));
  await ledger.save();
  for (const bytes of [Buffer.alloc(4_095, 1), Buffer.alloc(4_096, 1)]) {
    state.checkpointBytes.set('run-1/web01/upload/0/digests/0', bytes);
    expect((await open(checkpoints, { diskBytes: BLOCK })).tree.countHeld()).toBe(0);
  }
});

test('whoever saves while another writes waits for one further write, together with all others', async () => {
  const { checkpoints } = durable();
  const { held, writes } = heldUp(checkpoints);
  const ledger = await open(held);
  ledger.set(0, leaf(0));
  const saved: string[] = [];
  const save = (name: string): Promise<void> => ledger.save().then(() => void saved.push(name));
  const first = save('first');
  await expect.poll(() => writes.length).toBe(1);
  ledger.set(1, leaf(1));
  const second = save('second');
  ledger.set(200, leaf(200));
  const third = save('third');
  writes[0]?.pass();
  await first;
  expect(saved).toEqual(['first']);
  expect((await open(checkpoints)).isKnown(1)).toBe(false);
  await expect
    .poll(() => writes.map(({ key }) => key))
    .toEqual(['0', '0', '1'].map((page) => `upload/0/digests/${page}`));
  for (const write of writes.slice(1)) write.pass();
  await Promise.all([second, third]);
  expect([...(await open(checkpoints)).tree.heldBlocks()]).toEqual([0, 1, 200]);
});

test('what could not be written is written by the next call', async () => {
  const { checkpoints } = durable();
  const { held, writes } = heldUp(checkpoints);
  const ledger = await open(held);
  ledger.set(0, leaf(0));
  const failing = ledger.save();
  await expect.poll(() => writes.length).toBe(1);
  writes[0]?.fail(new Error('Redis is away'));
  await expect(failing).rejects.toThrow('Redis is away');
  const again = ledger.save();
  await expect.poll(() => writes.length).toBe(2);
  writes[1]?.pass();
  await again;
  expect((await open(checkpoints)).isKnown(0)).toBe(true);
});

test('a prepared save holds what was set before it, and not what came after', async () => {
  const { checkpoints } = durable();
  const ledger = await open(checkpoints);
  ledger.set(0, leaf(0));
  const write = ledger.prepareSave();
  ledger.set(1, leaf(1));
  await write?.();
  expect([...(await open(checkpoints)).tree.heldBlocks()]).toEqual([0]);
  await ledger.save();
  expect([...(await open(checkpoints)).tree.heldBlocks()]).toEqual([0, 1]);
  expect(ledger.prepareSave()).toBeNull();
});

test('with nothing to save, no page is written', async () => {
  const { checkpoints } = durable();
  const { held, writes } = heldUp(checkpoints);
  const ledger = await open(held);
  ledger.set(3, null);
  await ledger.save();
  expect(writes).toEqual([]);
});
