import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CompleteSnapshotCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { DeleteSnapshotCommand, DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';
import {
  BLOCK_BYTES,
  block,
  checksumOf,
  complete,
  describeSnapshot,
  FAST,
  linearOf,
  makeSnapshot,
  put,
  readAll,
  start,
  untilState,
} from './blocks.ts';

const MINUTE_MS = 60_000;
/** The clients' clock and the sandbox's may be five minutes apart. */
let late = 0;
let fixture: Fixture;
let clients: { ebs: ReturnType<Fixture['ebs']>; ec2: ReturnType<Fixture['ec2']> };

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1', limits: FAST });
  clients = { ebs: fixture.ebs(), ec2: fixture.ec2() };
});
afterAll(() => fixture[Symbol.asyncDispose]());

const send = (command: ReturnType<typeof put>) => clients.ebs.send(command);

describe('a block', () => {
  it('is taken once its checksum was found true, and again without a word', async () => {
    const id = await start(clients.ebs);
    const bytes = block(7);
    for (const _ of [1, 2]) {
      expect(await send(put(id, 3, bytes, { Progress: 40 }))).toMatchObject({
        Checksum: checksumOf(bytes),
        ChecksumAlgorithm: 'SHA256',
        $metadata: { httpStatusCode: 201 },
      });
    }
    expect(await describeSnapshot(clients.ec2, id)).toMatchObject({ State: 'pending', Progress: '40%' });
    await clients.ebs.send(complete(id, 1, linearOf([bytes])));
    await untilState(clients.ec2, id, 'completed');
    expect(fixture.sandbox.requests.storedBlocks(id)).toEqual(new Map([[3, 2]]));
  });

  it('that is sent again with other bytes is replaced', async () => {
    const id = await makeSnapshotOf([block(1), block(2)]);
    expect(await readAll(clients.ebs, id)).toEqual(new Map([[0, block(2)]]));
  });

  it('is refused where its checksum is another', async () => {
    const id = await start(clients.ebs);
    const wrong = put(id, 0, block(1), { Checksum: checksumOf(block(2)) });
    await expect(send(wrong)).rejects.toMatchObject({ name: 'ValidationException', Reason: 'INVALID_BLOCK' });
    await expect(clients.ebs.send(complete(id, 1))).rejects.toMatchObject({ name: 'ValidationException' });
    await clients.ebs.send(complete(id, 0));
  });

  it.each([
    [
      'is short',
      { BlockData: Buffer.alloc(1024), Checksum: checksumOf(Buffer.alloc(1024)) },
      'INVALID_BLOCK',
    ],
    ['says another length', { DataLength: 1024 }, 'INVALID_PARAMETER_VALUE'],
    ['has a checksum that is none', { Checksum: 'AAAA' }, 'INVALID_PARAMETER_VALUE'],
    ['has another algorithm', { ChecksumAlgorithm: 'MD5' as 'SHA256' }, 'INVALID_PARAMETER_VALUE'],
    ['is beyond the volume', { BlockIndex: 2048 }, 'INVALID_BLOCK'],
    ['is at no index', { BlockIndex: -1 }, 'INVALID_PARAMETER_VALUE'],
    ['says a progress over 100', { Progress: 101 }, 'INVALID_PARAMETER_VALUE'],
    ['has another snapshot’s name', { SnapshotId: 'snap-xyz' }, 'INVALID_SNAPSHOT_ID'],
  ])('is refused where it %s', async (_, change, Reason) => {
    const id = await start(clients.ebs);
    await expect(send(put(id, 0, block(1), change))).rejects.toMatchObject({
      name: 'ValidationException',
      Reason,
    });
  });

  it('is refused for a snapshot that does not exist, or is completed', async () => {
    await expect(send(put('snap-0123456789abcdef0', 0, block(1)))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      Reason: 'SNAPSHOT_NOT_FOUND',
    });
    const id = await makeSnapshot(clients, new Map([[0, block(1)]]));
    await expect(send(put(id, 0, block(2)))).rejects.toMatchObject({ Reason: 'INVALID_SNAPSHOT_ID' });
  });
});

describe('completion', () => {
  it('answers 202 pending, then the snapshot is complete', async () => {
    const id = await start(clients.ebs);
    const blocks = [block(1), block(2), block(3)];
    // The sum is in the order of the blocks, not of their coming.
    for (const index of [2, 0, 1]) await send(put(id, index * 100, blocks[index] ?? block(0)));
    const answer = await clients.ebs.send(complete(id, 3, linearOf(blocks)));
    expect(answer).toMatchObject({ Status: 'pending', $metadata: { httpStatusCode: 202 } });
    await expect(send(put(id, 5, block(1)))).rejects.toMatchObject({ name: 'ValidationException' });
    const done = await untilState(clients.ec2, id, 'completed');
    expect(done).toMatchObject({ Progress: '100%', CompletionTime: expect.any(Date) });
    const file = join(fixture.folder, 'ec2', 'snapshots', `${id}.raw`);
    const { size, blocks: sectors } = await stat(file);
    expect(size).toBe(1024 ** 3);
    expect(sectors * 512).toBeLessThan(8 * BLOCK_BYTES);
  });

  it('is answered again where the answer was lost', async () => {
    const id = await start(clients.ebs);
    await send(put(id, 0, block(1)));
    fixture.sandbox.faults.add({ service: 'ebs', action: 'CompleteSnapshot', dropAnswer: true });
    await expect(clients.ebs.send(complete(id, 1))).rejects.toThrow();
    await clients.ebs.send(complete(id, 1));
    await untilState(clients.ec2, id, 'completed');
    expect((await clients.ebs.send(complete(id, 1))).Status).toBe('completed');
    await expect(clients.ebs.send(complete(id, 2))).rejects.toMatchObject({ name: 'ValidationException' });
  });

  it('is refused with another count or sum, and can be tried again', async () => {
    const id = await start(clients.ebs);
    await send(put(id, 0, block(1)));
    await send(put(id, 1, block(2)));
    for (const wrong of [complete(id, 1), complete(id, 2, linearOf([block(2), block(1)]))]) {
      await expect(clients.ebs.send(wrong)).rejects.toMatchObject({
        name: 'ValidationException',
        Reason: 'INVALID_PARAMETER_VALUE',
      });
    }
    await send(put(id, 2, block(3)));
    await clients.ebs.send(complete(id, 3, linearOf([block(1), block(2), block(3)])));
    await untilState(clients.ec2, id, 'completed');
  });

  it('takes a checksum only whole', async () => {
    const id = await start(clients.ebs);
    const half = { SnapshotId: id, ChangedBlocksCount: 0, Checksum: linearOf([]) };
    await expect(clients.ebs.send(new CompleteSnapshotCommand(half))).rejects.toMatchObject({
      Reason: 'INVALID_PARAMETER_VALUE',
    });
  });
});

describe('a pending snapshot', () => {
  it('ends when it is deleted', async () => {
    const id = await start(clients.ebs);
    await send(put(id, 0, block(1)));
    await clients.ec2.send(new DeleteSnapshotCommand({ SnapshotId: id }));
    await expect(send(put(id, 1, block(1)))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const gone = new DescribeSnapshotsCommand({ SnapshotIds: [id] });
    await expect(clients.ec2.send(gone)).rejects.toMatchObject({ name: 'InvalidSnapshot.NotFound' });
    await expect(readFile(join(fixture.folder, 'ec2', 'snapshots', `${id}.partial`))).rejects.toThrow(
      'ENOENT',
    );
  });

  it('that is being completed can be deleted too', async () => {
    await using slow = await startFixture({ limits: { ...FAST, sealingMs: 60_000 } });
    const [ebs, ec2] = [slow.ebs(), slow.ec2()];
    const id = await start(ebs);
    await ebs.send(complete(id, 0));
    await ec2.send(new DeleteSnapshotCommand({ SnapshotId: id }));
    await expect(ebs.send(complete(id, 0))).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('is given up when nothing was written for its timeout; a write starts the time anew', async () => {
    late = 0;
    const now = () => Date.now() + late;
    await using own = await startFixture({ limits: FAST, now });
    const clientAt = () => {
      const client = own.ebs();
      client.config.systemClockOffset = late;
      return client;
    };
    const ec2At = () => {
      const client = own.ec2();
      client.config.systemClockOffset = late;
      return client;
    };
    const { SnapshotId: id = '' } = await clientAt().send(
      new StartSnapshotCommand({ VolumeSize: 1, Timeout: 10 }),
    );
    const sealed = await makeSnapshot({ ebs: clientAt(), ec2: ec2At() }, new Map([[0, block(1)]]));
    late = 9 * MINUTE_MS;
    await clientAt().send(put(id, 0, block(1)));
    late = 18 * MINUTE_MS;
    expect(await describeSnapshot(ec2At(), id)).toMatchObject({ State: 'pending' });
    late = 20 * MINUTE_MS;
    await expect(clientAt().send(put(id, 1, block(1)))).rejects.toMatchObject({
      Reason: 'INVALID_SNAPSHOT_ID',
    });
    expect(await describeSnapshot(ec2At(), id)).toMatchObject({
      State: 'error',
      StateMessage: expect.stringContaining('10 minutes'),
    });
    await expect(clientAt().send(complete(id, 1))).rejects.toMatchObject({ name: 'ValidationException' });
    expect(await describeSnapshot(ec2At(), sealed)).toMatchObject({ State: 'completed' });
    await ec2At().send(new DeleteSnapshotCommand({ SnapshotId: id }));
  });
});

/** All at block 0, one after the other. */
async function makeSnapshotOf(blocks: readonly Buffer[]): Promise<string> {
  const id = await start(clients.ebs);
  for (const bytes of blocks) await send(put(id, 0, bytes));
  await clients.ebs.send(complete(id, 1, linearOf(blocks.slice(-1))));
  await untilState(clients.ec2, id, 'completed');
  return id;
}
