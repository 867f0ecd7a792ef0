/** EBS direct against the sandbox cloud, beyond the contract: later passes, faults, disks that went another way. */
import { hash, randomBytes } from 'node:crypto';
import { waitUntilSnapshotCompleted } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Aws, createAws } from '../../../../adapters/targets/aws/clients.ts';
import { openLandedDisk } from '../../../../adapters/targets/aws/ebs-read.ts';
import { openBlockSink } from '../../../../adapters/targets/aws/ebs-sink.ts';
import { landingOf } from '../../../../adapters/targets/aws/landing.ts';
import { awsOptionsSchema } from '../../../../adapters/targets/aws/options.ts';
import type { BlockSink, LandedDisk, UploadRequest } from '../../../../src/domain/ports.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { describePasses } from '../passes-contract.ts';
import { linearOf } from './plain-ebs.ts';
import { openDirectGround, REGION, type SandboxGround } from './sandbox-ground.ts';

const BLOCK_BYTES = 524_288;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

let ground: SandboxGround;
let aws: Aws;

beforeAll(async () => {
  ground = await openDirectGround();
  aws = createAws(awsOptionsSchema.parse({ region: REGION, via: 'ebs-direct' }));
}, 60_000);
afterAll(async () => {
  aws.ebs.destroy();
  aws.ec2.destroy();
  await ground[Symbol.asyncDispose]();
}, 60_000);

test('one request in twenty fails, and what arrives is identical', async () => {
  const blocks = new Map(Array.from({ length: 60 }, (_, index) => [index * 2, randomBytes(BLOCK_BYTES)]));
  const service = 'ebs' as const;
  const action = 'PutSnapshotBlock';
  ground.sandbox.faults.add({ service, action, skip: 4, error: errorOf('RequestThrottledException', 400) });
  ground.sandbox.faults.add({ service, action, skip: 20, dropAfterBytes: 100_000 });
  ground.sandbox.faults.add({ service, action, skip: 40, error: errorOf('InternalServerException', 500) });
  ground.sandbox.faults.add({ service, action, skip: 50, dropAnswer: true });
  const snapshotId = await upload('faults', blocks);
  await expectContent(snapshotId, blocks);
}, 60_000);

describePasses(() => ({
  openUpload: (request, context) => openBlockSink(aws, request, context),
  async read({ ref: { snapshotId } }, lengthBytes) {
    await untilCompleted(String(snapshotId));
    await using disk = await open(String(snapshotId));
    const content = Buffer.alloc(lengthBytes);
    for await (const index of disk.heldBlocks(soon()))
      content.set(
        (await disk.readBlock(index, soon())).subarray(0, lengthBytes - index * BLOCK_BYTES),
        index * BLOCK_BYTES,
      );
    return content;
  },
}));

async function upload(run: string, blocks: ReadonlyMap<number, Buffer>): Promise<string> {
  const context = createStepContext({ run });
  const sink = await openBlockSink(aws, REQUEST, context);
  await Promise.all([...blocks].map(([index, bytes]) => write(sink, index, bytes)));
  const artifact = await sink.finish({ blockCount: blocks.size, linearSha256: linearOf(blocks) });
  return String(artifact.ref.snapshotId);
}

async function expectContent(snapshotId: string, blocks: ReadonlyMap<number, Buffer>): Promise<void> {
  await untilCompleted(snapshotId);
  await using disk = await open(snapshotId);
  const held = await Array.fromAsync(disk.heldBlocks(soon()));
  expect(held).toEqual(expect.arrayContaining([...blocks.keys()].filter((index) => !isZero(blocks, index))));
  for (const index of new Set([...held, ...blocks.keys()])) {
    const read = await disk.readBlock(index, soon());
    expect((blocks.get(index) ?? ZEROS).equals(read), `block ${index}`).toBe(true);
  }
}

async function untilCompleted(snapshotId: string): Promise<void> {
  const waiting = { client: ground.ec2, maxWaitTime: 30, minDelay: 1, maxDelay: 1 };
  await waitUntilSnapshotCompleted(waiting, { SnapshotIds: [snapshotId] });
}

function isZero(blocks: ReadonlyMap<number, Buffer>, index: number): boolean {
  return blocks.get(index)?.equals(ZEROS) === true;
}

async function open(snapshotId: string): Promise<LandedDisk> {
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
  const disk = await openLandedDisk(aws, { landing, machine: machineWith(), disk: '0' }, soon());
  if (disk === null) throw new Error('nothing to read');
  return disk;
}

function write(sink: BlockSink, index: number, bytes: Buffer): Promise<void> {
  return sink.writeBlock({ index, bytes, sha256: hash('sha256', bytes, 'buffer') }, soon());
}

function errorOf(code: string, status: number) {
  return { status, code, message: 'Try again.' };
}

function soon(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

const REQUEST: UploadRequest = {
  machine: machineWith(),
  disk: '0',
  diskBytes: 2 ** 30,
  to: {},
  form: { kind: 'blocks', blockBytes: BLOCK_BYTES },
  contentId: 'content-1',
  maxFileBytes: 2 ** 30,
};
