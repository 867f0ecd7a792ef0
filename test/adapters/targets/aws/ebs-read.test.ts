import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Aws } from '../../../../adapters/targets/aws/clients.ts';
import { openLandedDisk } from '../../../../adapters/targets/aws/ebs-read.ts';
import { landingOf } from '../../../../adapters/targets/aws/landing.ts';
import type { LandedDisk } from '../../../../src/domain/ports.ts';
import { machineWith } from '../machines.ts';
import { awsAt, BLOCK_BYTES, type HeldSnapshot, type PlainEbs, startPlainEbs } from './plain-ebs.ts';

const ID = 'snap-00000000000000001';

let ebs: PlainEbs;
let aws: Aws;

beforeEach(async () => {
  ebs = await startPlainEbs();
  aws = awsAt(ebs.endpoint);
});
afterEach(async () => {
  aws.ebs.destroy();
  await ebs[Symbol.asyncDispose]();
});

describe('a landed disk', () => {
  test('is read back block by block; those that are not held are zeros', async () => {
    const blocks = hold([0, 7, 2047]);
    await using disk = await open();
    expect(disk).toMatchObject({ bytes: 2 ** 30, blockBytes: BLOCK_BYTES });
    expect(await Array.fromAsync(disk.heldBlocks(soon()))).toEqual([0, 7, 2047]);
    for (const [index, bytes] of blocks)
      expect(bytes.equals(await disk.readBlock(index, soon())), `block ${index}`).toBe(true);
    expect(Buffer.alloc(BLOCK_BYTES).equals(await disk.readBlock(6, soon()))).toBe(true);
  });

  test('of several pages is listed once, and read anywhere', async () => {
    const content = randomBytes(BLOCK_BYTES);
    hold(
      [...Array(2500).keys()].map((index) => index * 2),
      content,
    );
    await using disk = await open();
    let count = 0;
    for await (const index of disk.heldBlocks(soon())) count += index % 2 === 0 ? 1 : Number.NaN;
    expect(count).toBe(2500);
    const reads = [4998, 0, 2002].map((index) => disk.readBlock(index, soon()));
    expect((await Promise.all(reads)).every((bytes) => content.equals(bytes))).toBe(true);
    expect(ebs.requests.filter((name) => name.startsWith('List'))).toHaveLength(3);
  });

  test('is listed in the order of its blocks, whatever the order within a page', async () => {
    const indexes = [...Array(2500).keys()];
    hold(indexes, randomBytes(BLOCK_BYTES));
    ebs.toldInOrder = false;
    await using disk = await open();
    expect(await Array.fromAsync(disk.heldBlocks(soon()))).toEqual(indexes);
  });

  test('of zeros holds no block', async () => {
    hold([]);
    await using disk = await open();
    expect(await Array.fromAsync(disk.heldBlocks(soon()))).toEqual([]);
  });

  test('is asked for again where a block was damaged on its way', async () => {
    const blocks = hold([3]);
    let damaged = 2;
    ebs.garble = (_, bytes) => (damaged-- > 0 ? flipped(bytes) : bytes);
    await using disk = await open();
    expect(blocks.get(3)?.equals(await disk.readBlock(3, soon()))).toBe(true);
    expect(ebs.requests.filter((name) => name === 'GetSnapshotBlock 3')).toHaveLength(3);
  });

  test('that AWS itself holds damaged is handed over as it is: the digest tree names it', async () => {
    const blocks = hold([3]);
    ebs.garble = (_, bytes) => flipped(bytes);
    await using disk = await open();
    const read = await disk.readBlock(3, soon());
    expect(flipped(blocks.get(3) as Buffer).equals(read)).toBe(true);
  });

  test('survives throttling and connections that break off', async () => {
    const blocks = hold([...Array(24).keys()]);
    let count = 0;
    ebs.fault = (name) => {
      if (!name.startsWith('Get')) return null;
      count += 1;
      if (count % 8 === 1) return 'drop';
      return count % 8 === 2 ? { status: 400, type: 'RequestThrottledException' } : null;
    };
    await using disk = await open();
    const reads = [...blocks].map(async ([index, bytes]) =>
      bytes.equals(await disk.readBlock(index, soon())),
    );
    expect((await Promise.all(reads)).every(Boolean)).toBe(true);
  }, 20_000);

  test('asks for new tokens where its own expired', async () => {
    const blocks = hold([3]);
    let isExpired = true;
    ebs.fault = (name) => {
      if (name !== 'GetSnapshotBlock 3' || !isExpired) return null;
      isExpired = false;
      return { status: 400, type: 'ValidationException', reason: 'INVALID_BLOCK_TOKEN' };
    };
    await using disk = await open();
    expect(blocks.get(3)?.equals(await disk.readBlock(3, soon()))).toBe(true);
  });

  test('whose snapshot was deleted is missing', async () => {
    await expect(open()).rejects.toMatchObject({ code: 'target-missing' });
  });
});

test('a landing that AWS converted has no disk to compare', async () => {
  const landing = landingWith({});
  const disk = await openLandedDisk(aws, { landing, machine: machineWith(), disk: '0' }, soon());
  expect(disk).toBeNull();
  expect(ebs.requests).toEqual([]);
});

async function open(): Promise<LandedDisk> {
  const request = { landing: landingWith({ '0': ID }), machine: machineWith(), disk: '0' };
  const disk = await openLandedDisk(aws, request, soon());
  if (disk === null) throw new Error('nothing to read');
  return disk;
}

function landingWith(snapshots: Record<string, string>) {
  return landingOf({
    region: 'eu-central-1',
    instanceId: 'i-1',
    imageId: 'ami-1',
    subnet: 'subnet-1',
    privateIp: null,
    snapshots,
    quarantineGroup: 'sg-1',
    groups: [],
  });
}

function hold(indexes: readonly number[], content?: Buffer): Map<number, Buffer> {
  const blocks = new Map(indexes.map((index) => [index, content ?? randomBytes(BLOCK_BYTES)]));
  const held: HeldSnapshot = { id: ID, state: 'completed', volumeGib: 1, tags: {}, request: {}, blocks };
  ebs.snapshots.set(ID, held);
  return blocks;
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy[4711] = (copy[4711] ?? 0) ^ 1;
  return copy;
}

function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}
