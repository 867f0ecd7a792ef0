/**
 * The EBS half of the target contract against moto, for what it serves: snapshots are started with tags, filled,
 * completed, found, read back and removed. What it cannot do is held below, test by test: as soon as one of those fails,
 * moto has learned it, and the contract's own promise can be asked of it.
 */
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CompleteSnapshotCommand,
  EBSClient,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { awsTarget } from '../../adapters/targets/aws/aws.ts';
import { landingOf } from '../../adapters/targets/aws/landing.ts';
import type { UploadForm } from '../../src/domain/image.ts';
import type { LandedDisk, Target, UploadRequest } from '../../src/domain/ports.ts';
import { provideMoto, startMoto } from '../../tools/peers/moto.ts';
import {
  contextOf,
  DISK_BYTES,
  finish,
  makeDisk,
  type Payload,
  piecesOf,
  removeAll,
  writePieces,
} from '../adapters/targets/drive-target.ts';
import { machineWith } from '../adapters/targets/machines.ts';
import { describeUploads } from '../adapters/targets/upload-contract.ts';
import { openMotoGate } from './moto-gate.ts';
import { peerOptions } from './peer-cache.ts';
import { setEnvironment } from './peer-environment.ts';

const REGION = 'eu-central-1';
const BLOCK_BYTES = 524_288;
const credentials = { accessKeyId: 'peer', secretAccessKey: 'peer-secret' };

describe('target aws by ebs-direct at moto', () => {
  const owned = new AsyncDisposableStack();
  let target: Target;
  let form: UploadForm;
  let disk: Payload;
  let ebs: EBSClient;
  let ec2: EC2Client;
  const uploadOf = (payload: Payload, diskId = '0'): UploadRequest => ({
    machine: machineWith({ diskCount: 2 }),
    disk: diskId,
    diskBytes: DISK_BYTES,
    to: {},
    form,
    contentId: hash('sha256', payload),
    maxFileBytes: payload.length,
  });

  beforeAll(async () => {
    const options = peerOptions();
    const python = await provideMoto(options);
    const folder = await mkdtemp(join(tmpdir(), 'landfall-moto-'));
    owned.defer(() => rm(folder, { recursive: true, force: true }));
    const moto = owned.use(await startMoto({ python, signal: options.signal }));
    const { url } = owned.use(await openMotoGate(moto.url));
    owned.use(setEnvironment({ endpoint: url, region: REGION, credentials }));
    // Past the gate: what is said of moto below is said of moto.
    const client = { endpoint: moto.url, region: REGION, credentials };
    ebs = owned.adopt(new EBSClient(client), (each) => each.destroy());
    ec2 = owned.adopt(new EC2Client(client), (each) => each.destroy());
    const folders = { waveFolder: folder, scratchFolder: folder, cacheFolder: folder };
    target = awsTarget.create(awsTarget.options.parse({ region: REGION, via: 'ebs-direct' }), folders);
    form = target.uploadForm({ bytes: DISK_BYTES, to: {} });
    disk = (await makeDisk(folder, form)).payload;
  });
  afterAll(() => owned.disposeAsync());

  describeUploads('blocks', () => ({ target, form, disk, uploadOf }), ['checksums', 'open-state']);

  test('is found by its tags while it is filled, with the size of the disk', async () => {
    const sink = await target.openUpload(uploadOf(disk), contextOf('tags'));
    const Filters = [{ Name: 'tag:landfall:run', Values: ['tags'] }];
    const { Snapshots = [] } = await ec2.send(new DescribeSnapshotsCommand({ Filters }));
    expect(Snapshots).toMatchObject([{ SnapshotId: sink.id, VolumeSize: 1 }]);
    expect(Snapshots[0]?.Tags?.map(({ Key }) => Key)).toEqual(
      expect.arrayContaining(['landfall:run', 'landfall:machine', 'landfall:token']),
    );
    await removeAll(target, 'tags');
  });

  test('is read back as what was written, holes as zeros, in whatever order it was written', async () => {
    const context = contextOf('read-back');
    const sink = await target.openUpload(uploadOf(disk), context);
    const pieces = piecesOf(sink, disk);
    await writePieces(sink, disk, pieces.toReversed());
    const artifact = await finish(sink, disk);
    await using landed = await openLanded(String(artifact.ref.snapshotId));
    expect(landed.bytes).toBe(2 ** 30);
    expect(await Array.fromAsync(landed.heldBlocks(soon()))).toEqual(pieces);
    for (let index = 0; index * BLOCK_BYTES < disk.length; index += 1) {
      const block = disk.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
      expect(block.equals(await landed.readBlock(index, soon())), `block ${index}`).toBe(true);
    }
    await removeAll(target, 'read-back');
  });

  describe('what moto cannot do, and the sandbox is asked for instead', () => {
    test('check the checksum of a block, or of the whole', async () => {
      const SnapshotId = await start();
      const put = putOf(SnapshotId, randomBytes(BLOCK_BYTES), {
        Checksum: hash('sha256', 'other', 'base64'),
      });
      await expect(ebs.send(put)).resolves.toBeDefined();
      const complete = new CompleteSnapshotCommand({
        SnapshotId,
        ChangedBlocksCount: 7,
        Checksum: hash('sha256', 'other', 'base64'),
        ChecksumAlgorithm: 'SHA256',
        ChecksumAggregationMethod: 'LINEAR',
      });
      await expect(ebs.send(complete)).resolves.toMatchObject({ Status: 'completed' });
    });

    test('tell a snapshot under way from a finished one, so that none can be gone on with', async () => {
      const SnapshotIds = [await start()];
      const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds }));
      expect(Snapshots).toMatchObject([{ State: 'completed' }]);
    });

    test('find a snapshot by its client token', async () => {
      expect(await start({ ClientToken: 'same' })).not.toBe(await start({ ClientToken: 'same' }));
    });

    test('let a parent shine through', async () => {
      const parent = await start();
      await ebs.send(putOf(parent, randomBytes(BLOCK_BYTES)));
      await ebs.send(new CompleteSnapshotCommand({ SnapshotId: parent, ChangedBlocksCount: 1 }));
      const child = await start({ ParentSnapshotId: parent });
      await ebs.send(new CompleteSnapshotCommand({ SnapshotId: child, ChangedBlocksCount: 0 }));
      await using landed = await openLanded(child);
      expect(await Array.fromAsync(landed.heldBlocks(soon()))).toEqual([]);
    });

    test('say the size of its blocks', async () => {
      const { BlockSize } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
      expect(BlockSize).toBe(512);
    });
  });

  async function start(options: { ClientToken?: string; ParentSnapshotId?: string } = {}): Promise<string> {
    const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...options }));
    return String(SnapshotId);
  }

  async function openLanded(snapshotId: string): Promise<LandedDisk> {
    const landing = landingOf({
      region: REGION,
      instanceId: 'i-1',
      imageId: 'ami-1',
      subnet: 'subnet-1',
      privateIp: null,
      snapshots: { '0': snapshotId },
      quarantineGroup: 'sg-1',
      groups: [],
    });
    const landed = await target.openLanded({ landing, machine: machineWith(), disk: '0' }, soon());
    if (landed === null) throw new Error('the disk was not opened');
    return landed;
  }
});

function putOf(
  SnapshotId: string,
  bytes: Buffer,
  changes: { Checksum?: string } = {},
): PutSnapshotBlockCommand {
  return new PutSnapshotBlockCommand({
    SnapshotId,
    BlockIndex: 0,
    BlockData: bytes,
    DataLength: bytes.length,
    Checksum: hash('sha256', bytes, 'base64'),
    ChecksumAlgorithm: 'SHA256',
    ...changes,
  });
}

function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}
