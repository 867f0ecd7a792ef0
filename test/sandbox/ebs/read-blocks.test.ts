import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import * as ebs from '@aws-sdk/client-ebs';
import {
  DeleteSnapshotCommand,
  DescribeImportSnapshotTasksCommand,
  type EC2Client,
  GetConsoleOutputCommand,
  ImportSnapshotCommand,
  RegisterImageCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seedDemo } from '../../../src/sandbox/seed.ts';
import { bootDisk } from '../ec2/boot-sector.ts';
import { type Fixture, startFixture } from '../server-fixture.ts';
import {
  BLOCK_BYTES,
  block,
  FAST,
  makeSnapshot,
  put,
  readAll,
  readBlock,
  start,
  untilState,
} from './blocks.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
let fixture: Fixture;
let clients: { ebs: ebs.EBSClient; ec2: EC2Client };

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1', limits: FAST });
  clients = { ebs: fixture.ebs(), ec2: fixture.ec2() };
});
afterAll(() => fixture[Symbol.asyncDispose]());

describe('a snapshot', () => {
  it('gives back what was written, and does not list zeros', async () => {
    const written = new Map([
      [0, randomBytes(BLOCK_BYTES)],
      [9, block(0)],
      [2047, randomBytes(BLOCK_BYTES)],
    ]);
    const id = await makeSnapshot(clients, written);
    expect([...(await readAll(clients.ebs, id)).keys()]).toEqual([0, 2047]);
    written.delete(9);
    expect(await readAll(clients.ebs, id)).toEqual(written);
  });

  it('that was imported is read the same way', async () => {
    const s3 = fixture.s3();
    await seedDemo(fixture.sandbox);
    const disk = Buffer.concat([block(0), block(5), Buffer.alloc(1024, 6)]);
    await s3.send(new PutObjectCommand({ Bucket: 'landfall-demo', Key: 'disk', Body: disk }));
    const id = await importRaw('disk');
    const last = Buffer.alloc(BLOCK_BYTES);
    last.fill(6, 0, 1024);
    expect(await readAll(clients.ebs, id)).toEqual(
      new Map([
        [1, block(5)],
        [2, last],
      ]),
    );
    const child = await makeSnapshot(clients, new Map([[1, block(0)]]), { ParentSnapshotId: id });
    expect(await readAll(clients.ebs, child)).toEqual(new Map([[2, last]]));
  });

  it('shows a byte that changed in the store', async () => {
    const id = await makeSnapshot(clients, new Map([[4, block(1)]]));
    const file = await open(join(fixture.folder, 'ec2', 'snapshots', `${id}.raw`), 'r+');
    await file.write(Buffer.of(2), 0, 1, 4 * BLOCK_BYTES + 77);
    await file.close();
    expect((await readAll(clients.ebs, id)).get(4)?.[77]).toBe(2);
  });

  it('is listed in pages, from any block on', async () => {
    const written = new Map(Array.from({ length: 150 }, (_, index) => [index * 3, block(1 + (index % 200))]));
    const SnapshotId = await makeSnapshot(clients, written);
    const list = (more: Partial<ebs.ListSnapshotBlocksCommandInput>) =>
      clients.ebs.send(new ebs.ListSnapshotBlocksCommand({ SnapshotId, ...more }));
    const indexes = ({ Blocks = [] }: ebs.ListSnapshotBlocksResponse) =>
      Blocks.map(({ BlockIndex = -1 }) => BlockIndex);
    const first = await list({ MaxResults: 5 });
    expect(first).toMatchObject({ VolumeSize: 1, BlockSize: BLOCK_BYTES });
    expect(first.ExpiryTime?.getTime()).toBeGreaterThan(Date.now() + 6 * DAY_MS);
    expect(indexes(first)).toEqual([...written.keys()].slice(0, 100));
    const second = await list({ NextToken: first.NextToken });
    expect(indexes(second)).toEqual([...written.keys()].slice(100));
    expect(second.NextToken).toBeUndefined();
    expect(indexes(await list({ StartingBlockIndex: 440 }))).toEqual([441, 444, 447]);
    expect(indexes(await list({ StartingBlockIndex: 99_999 }))).toEqual([]);
    await expect(list({ MaxResults: 10_001 })).rejects.toMatchObject({ Reason: 'INVALID_PARAMETER_VALUE' });
    await expect(list({ NextToken: 'AAAA' })).rejects.toMatchObject({ Reason: 'INVALID_PAGE_TOKEN' });
  });

  it('is not read before it is completed', async () => {
    const SnapshotId = await start(clients.ebs);
    await clients.ebs.send(put(SnapshotId, 0, block(1)));
    const list = new ebs.ListSnapshotBlocksCommand({ SnapshotId });
    await expect(clients.ebs.send(list)).rejects.toMatchObject({ Reason: 'INVALID_SNAPSHOT_ID' });
    const unknown = new ebs.ListSnapshotBlocksCommand({ SnapshotId: 'snap-0123456789abcdef0' });
    await expect(clients.ebs.send(unknown)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  it('boots', async () => {
    const id = await makeSnapshot(
      clients,
      new Map([[0, Buffer.alloc(BLOCK_BYTES, bootDisk('hello', { sectors: 1024 }))]]),
    );
    const { ImageId } = await clients.ec2.send(
      new RegisterImageCommand({
        Name: 'written block by block',
        VirtualizationType: 'hvm',
        Architecture: 'x86_64',
        EnaSupport: true,
        RootDeviceName: '/dev/sda1',
        BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: id, VolumeType: 'gp3' } }],
      }),
    );
    const { Instances = [] } = await clients.ec2.send(
      new RunInstancesCommand({ ImageId, MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' }),
    );
    await expect
      .poll(async () => consoleOf(Instances[0]?.InstanceId ?? ''), { timeout: 40_000, interval: 200 })
      .toContain('hello');
  }, 45_000);
});

describe('a block token', () => {
  it('opens one block of one snapshot', async () => {
    const id = await makeSnapshot(
      clients,
      new Map([
        [0, block(1)],
        [1, block(2)],
      ]),
    );
    const other = await makeSnapshot(clients, new Map([[0, block(3)]]));
    const BlockToken = await tokenOf(clients.ebs, id);
    expect(await readBlock(clients.ebs, { SnapshotId: id, BlockIndex: 0, BlockToken })).toEqual(block(1));
    for (const wrong of [
      { SnapshotId: id, BlockIndex: 1, BlockToken },
      { SnapshotId: other, BlockIndex: 0, BlockToken },
      { SnapshotId: id, BlockIndex: 0, BlockToken: `B${BlockToken.slice(1)}` },
    ]) {
      await expect(readBlock(clients.ebs, wrong)).rejects.toMatchObject({ Reason: 'INVALID_BLOCK_TOKEN' });
    }
    const beyond = { SnapshotId: id, BlockIndex: 2048, BlockToken };
    await expect(readBlock(clients.ebs, beyond)).rejects.toMatchObject({ Reason: 'INVALID_BLOCK' });
  });

  it('expires after seven days', async () => {
    let late = 0;
    await using own = await startFixture({ limits: FAST, now: () => Date.now() + late });
    const SnapshotId = await makeSnapshot({ ebs: own.ebs(), ec2: own.ec2() }, new Map([[0, block(1)]]));
    const BlockToken = await tokenOf(own.ebs(), SnapshotId);
    late = 7 * DAY_MS + 1000;
    const client = own.ebs();
    client.config.systemClockOffset = late;
    await expect(readBlock(client, { SnapshotId, BlockIndex: 0, BlockToken })).rejects.toMatchObject({
      Reason: 'INVALID_BLOCK_TOKEN',
    });
  });
});

describe('two snapshots', () => {
  it('of one line are compared, also where a block became zero', async () => {
    const first = await makeSnapshot(
      clients,
      new Map([
        [0, block(1)],
        [1, block(2)],
        [2, block(3)],
        [4, block(4)],
      ]),
    );
    const second = await makeSnapshot(
      clients,
      new Map([
        [1, block(9)],
        [2, block(0)],
        [3, block(5)],
      ]),
      {
        ParentSnapshotId: first,
        VolumeSize: 2,
      },
    );
    expect(await readAll(clients.ebs, second)).toEqual(
      new Map([
        [0, block(1)],
        [1, block(9)],
        [3, block(5)],
        [4, block(4)],
      ]),
    );
    const { ChangedBlocks = [], VolumeSize } = await clients.ebs.send(
      new ebs.ListChangedBlocksCommand({ FirstSnapshotId: first, SecondSnapshotId: second }),
    );
    expect(VolumeSize).toBe(2);
    expect(
      ChangedBlocks.map(({ BlockIndex, FirstBlockToken }) => [BlockIndex, FirstBlockToken !== undefined]),
    ).toEqual([
      [1, true],
      [2, true],
      [3, false],
    ]);
    const { FirstBlockToken: BlockToken, SecondBlockToken } = ChangedBlocks[1] ?? {};
    expect(await readBlock(clients.ebs, { SnapshotId: first, BlockIndex: 2, BlockToken })).toEqual(block(3));
    const zero = { SnapshotId: second, BlockIndex: 2, BlockToken: SecondBlockToken };
    expect(await readBlock(clients.ebs, zero)).toEqual(block(0));
    const all = await clients.ebs.send(new ebs.ListChangedBlocksCommand({ SecondSnapshotId: second }));
    expect(all.ChangedBlocks?.map(({ BlockIndex }) => BlockIndex)).toEqual([0, 1, 3, 4]);
  });

  it('of two lines are refused', async () => {
    const [first, second] = [
      await makeSnapshot(clients, new Map([[0, block(1)]])),
      await makeSnapshot(clients, new Map([[0, block(1)]])),
    ];
    const compare = new ebs.ListChangedBlocksCommand({ FirstSnapshotId: first, SecondSnapshotId: second });
    await expect(clients.ebs.send(compare)).rejects.toMatchObject({ Reason: 'UNRELATED_SNAPSHOTS' });
  });

  it('keep a parent’s blocks though it is deleted while the child is written', async () => {
    const parent = await makeSnapshot(clients, new Map([[0, block(1)]]));
    const child = await start(clients.ebs, { ParentSnapshotId: parent });
    await clients.ec2.send(new DeleteSnapshotCommand({ SnapshotId: parent }));
    await clients.ebs.send(put(child, 1, block(2)));
    await clients.ebs.send(new ebs.CompleteSnapshotCommand({ SnapshotId: child, ChangedBlocksCount: 1 }));
    await untilState(clients.ec2, child, 'completed');
    expect(await readAll(clients.ebs, child)).toEqual(
      new Map([
        [0, block(1)],
        [1, block(2)],
      ]),
    );
  });
});

async function tokenOf(client: ebs.EBSClient, SnapshotId: string): Promise<string> {
  const { Blocks = [] } = await client.send(new ebs.ListSnapshotBlocksCommand({ SnapshotId }));
  return Blocks[0]?.BlockToken ?? '';
}

async function importRaw(S3Key: string): Promise<string> {
  const { ImportTaskId = '' } = await clients.ec2.send(
    new ImportSnapshotCommand({
      DiskContainer: { Format: 'RAW', UserBucket: { S3Bucket: 'landfall-demo', S3Key } },
    }),
  );
  let snapshotId = '';
  await expect
    .poll(
      async () => {
        const describe = new DescribeImportSnapshotTasksCommand({ ImportTaskIds: [ImportTaskId] });
        const { ImportSnapshotTasks = [] } = await clients.ec2.send(describe);
        const { Status, SnapshotId = '' } = ImportSnapshotTasks[0]?.SnapshotTaskDetail ?? {};
        snapshotId = SnapshotId;
        return Status;
      },
      { timeout: 20_000 },
    )
    .toBe('completed');
  return snapshotId;
}

async function consoleOf(InstanceId: string): Promise<string> {
  const { Output = '' } = await clients.ec2.send(new GetConsoleOutputCommand({ InstanceId, Latest: true }));
  return Buffer.from(Output, 'base64').toString('latin1');
}
