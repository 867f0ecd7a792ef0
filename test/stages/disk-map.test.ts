/** The picture of a disk while it is copied, and what of it outlives attempts. */
import { beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/blocks/stream-encoder.ts';
import type { Checkpoints } from '../../src/domain/ports.ts';
import { openDigestLedger } from '../../src/stages/digest-ledger.ts';
import {
  cellBytesOf,
  createHolesMap,
  type DiskMapKeeper,
  decodeCells,
  holesKey,
  keepDiskMap,
  mapKey,
} from '../../src/stages/disk-map.ts';
import { createStepContext } from '../fakes/step-context.ts';

const SHA = Buffer.alloc(32, 7);
/** 1,024 blocks and half a one: cells of three blocks, 342 of them, the last of a block and a half. */
const BYTES = 1024 * BLOCK_BYTES + BLOCK_BYTES / 2;
let checkpoints: Checkpoints;

beforeEach(() => {
  ({ checkpoints } = createStepContext());
});

async function cellsOf(key: string) {
  const [bytes = null] = await checkpoints.getBytes([key]);
  return bytes === null ? null : decodeCells(bytes, BYTES);
}

async function open(identity: string): Promise<DiskMapKeeper> {
  const digests = await openDigestLedger({
    checkpoints,
    key: 'upload/0',
    identity: { identity },
    diskBytes: BYTES,
  });
  return keepDiskMap({ checkpoints, disk: '0', diskBytes: BYTES, digests });
}

/** What an attempt that ends here leaves. */
async function leave(map: DiskMapKeeper): Promise<void> {
  await map.digests.save();
  await map[Symbol.asyncDispose]();
  await Promise.resolve();
}

async function keepHoles(...runs: [from: number, end: number][]): Promise<void> {
  const map = createHolesMap({ diskBytes: BYTES });
  for (const [from, end] of runs) map.takeData({ from, end });
  await map.keep(checkpoints, '0');
}

const rounded = (cells: { copied: number; zero: number }[] | null | undefined) =>
  cells?.map(({ copied, zero }) => [Number(copied.toFixed(2)), Number(zero.toFixed(2))]);

it('has whole blocks in each of at most 512 cells', () => {
  expect(cellBytesOf(BYTES)).toBe(3 * BLOCK_BYTES);
  expect(cellBytesOf(512 * BLOCK_BYTES)).toBe(BLOCK_BYTES);
  expect(cellBytesOf(1)).toBe(BLOCK_BYTES);
  expect(cellBytesOf(2 ** 44)).toBe(2 ** 35);
});

it('shows holes before a byte is copied, and of what length they are in the short last cell', async () => {
  await keepHoles([0, 1], [4, 7], [1024, 1025]);
  const cells = await cellsOf(holesKey('0'));
  expect(rounded(cells?.slice(0, 4))).toEqual([
    [0, 0.67],
    [0, 0.33],
    [0, 0.67],
    [0, 1],
  ]);
  expect(rounded(cells?.slice(-1))).toEqual([[0, 0.67]]);
});

describe('while it is copied', () => {
  it('shows what is copied, what turned out to be zeros, and what is to do', async () => {
    await keepHoles([0, 3], [3, 5]);
    const map = await open('u1');
    map.digests.set(0, SHA);
    map.digests.set(1, null);
    map.digests.set(3, SHA);
    await leave(map);
    expect(rounded((await cellsOf(mapKey('0')))?.slice(0, 2))).toEqual([
      [0.33, 0.33],
      [0.33, 0.33],
    ]);
  });

  it('counts once what a later attempt finds again, and keeps what it does not look at', async () => {
    await keepHoles([0, 6]);
    const first = await open('u1');
    first.digests.set(0, SHA);
    first.digests.set(1, null);
    first.digests.set(4, null);
    await leave(first);
    const second = await open('u1');
    second.digests.set(1, null);
    second.digests.set(2, SHA);
    await leave(second);
    expect(rounded((await cellsOf(mapKey('0')))?.slice(0, 2))).toEqual([
      [0.67, 0.33],
      [0, 0.33],
    ]);
  });

  it('has nothing copied where the upload begins anew, and less where the target lost a block', async () => {
    await keepHoles([0, 6]);
    const first = await open('u1');
    for (const index of [0, 1, 2]) first.digests.set(index, SHA);
    first.digests.set(2, null);
    await leave(first);
    expect(rounded((await cellsOf(mapKey('0')))?.slice(0, 1))).toEqual([[0.67, 0]]);
    await leave(await open('u2'));
    expect(rounded((await cellsOf(mapKey('0')))?.slice(0, 1))).toEqual([[0, 0]]);
  });

  it('has nothing left to do at its end', async () => {
    const map = await open('u1');
    map.digests.set(0, SHA);
    await map.finish();
    await map[Symbol.asyncDispose]();
    const cells = await cellsOf(mapKey('0'));
    expect(rounded(cells?.slice(0, 2))).toEqual([
      [0.33, 0.67],
      [0, 1],
    ]);
  });

  it('holds nobody up where it cannot be written', async () => {
    const map = await open('u1');
    checkpoints.setBytes = () => Promise.reject(new Error('Redis is away'));
    map.digests.set(0, SHA);
    await map.finish();
    await map[Symbol.asyncDispose]();
    expect(await cellsOf(mapKey('0'))).toBeNull();
  });
});

it('is forgotten once the disk is looked at anew', async () => {
  await keepHoles([0, 3]);
  await leave(await open('u1'));
  await keepHoles([0, 2]);
  expect(await cellsOf(mapKey('0'))).toBeNull();
  expect(rounded((await cellsOf(holesKey('0')))?.slice(0, 1))).toEqual([[0, 0.33]]);
});

it('is none of a disk of another length', () => {
  expect(decodeCells(Buffer.alloc(12), BYTES)).toBeNull();
});
