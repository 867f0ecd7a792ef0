/** The sandbox cloud as a ground for the target's contract, and an account to look at what the adapter made. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CreateSecurityGroupCommand,
  DescribeImagesCommand,
  DescribeImportSnapshotTasksCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  ImportSnapshotCommand,
  type Tag,
} from '@aws-sdk/client-ec2';
import { HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { awsTarget } from '../../../../adapters/targets/aws/aws.ts';
import type { Landing } from '../../../../src/domain/landing.ts';
import type { Disk } from '../../../../src/domain/machine.ts';
import { DEMO_BUCKET, seedDemo } from '../../../../src/sandbox/seed.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../../src/sandbox/server.ts';
import type { Holdings, RefusedPlan, TargetGround } from '../ground.ts';

export const REGION = 'eu-central-1';
export const BUCKET = DEMO_BUCKET;
export const SUBNET = 'subnet-0de0000000000001';
export const GROUP = 'sg-0de00000000000aa';

const TIB = 2 ** 40;
const VPC = 'vpc-0de0000000000001';

export type SandboxGround = TargetGround & { sandbox: Sandbox; ec2: EC2Client; s3: S3Client };

export async function openSandboxGround(
  limits: NonNullable<SandboxOptions['limits']> = {},
): Promise<SandboxGround> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-sandbox-'));
  const sandbox = await startSandbox({
    folder,
    region: REGION,
    acceleration: 'tcg',
    limits: { deletingMs: 100, shutdownMs: 100, ...limits },
  });
  await seedDemo(sandbox);
  const restore = setEnvironment(sandbox.environment);
  const client = { endpoint: sandbox.url, region: REGION, credentials: sandbox.credentials };
  const ec2 = new EC2Client(client);
  const s3 = new S3Client({ ...client, forcePathStyle: true });
  return {
    sandbox,
    ec2,
    s3,
    adapter: awsTarget,
    options: { region: REGION, bucket: BUCKET, partSizeMiB: 5 },
    to: { subnet: SUBNET, groups: [GROUP] },
    refused: REFUSED,
    holdings: (run) => countTagged({ ec2, s3, run }),
    uploadLeaves: 1,
    landed: { snapshot: 2, image: 1, instance: 1, volume: 2, group: 1 },
    plantStrangers: () => plantStrangers({ ec2, s3 }),
    isAdmitted: (landing) => isInGroups({ ec2, landing, groups: [GROUP] }),
    [Symbol.asyncDispose]: async () => {
      restore();
      ec2.destroy();
      s3.destroy();
      await sandbox.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The same cloud for disks that go block by block: no bucket is named. */
export async function openDirectGround(
  limits: NonNullable<SandboxOptions['limits']> = {},
): Promise<SandboxGround> {
  const ground = await openSandboxGround(limits);
  return { ...ground, options: { region: REGION, via: 'ebs-direct' }, refused: REFUSED_DIRECT };
}

const REFUSED_ALWAYS: readonly RefusedPlan[] = [
  { name: 'no subnet', to: { subnet: 'subnet-0de00000000000ff' }, message: /no such subnet/ },
  { name: 'address outside', to: { privateIp: '10.1.2.3' }, message: /is not in 172\.31\.0\.0\/20/ },
  { name: 'address reserved', to: { privateIp: '172.31.0.2' }, message: /first four addresses/ },
  { name: 'no group', to: { groups: ['sg-0de00000000000ff'] }, message: /no such security group/ },
  {
    name: 'no quarantine group',
    options: { quarantineGroup: 'sg-0de00000000000ff' },
    message: /no such security/,
  },
  { name: 'no instance type', to: { instanceType: 'm6i.tiny' }, message: /no such instance type/ },
  { name: 'no instance profile', to: { instanceProfile: 'nobody' }, message: /no such instance profile/ },
  { name: 'TPM with BIOS', to: { tpm: true }, message: /TPM needs UEFI/ },
  { name: 'too small a disk for io2', options: { volumeType: 'io2' }, message: /under the 4 GiB/ },
  { name: 'Windows as it is', traits: { os: 'windows2019srv_64Guest' }, message: /runs Windows/ },
  { name: 'no type is large enough', traits: { cpus: 400 }, message: /no common instance type/ },
];

const REFUSED: readonly RefusedPlan[] = [
  ...REFUSED_ALWAYS,
  { name: 'no bucket', options: { bucket: 'landfall-nowhere' }, message: /no such bucket/ },
  { name: 'no role', options: { role: 'nobody' }, message: /no such role/ },
];

const REFUSED_DIRECT: readonly RefusedPlan[] = [
  ...REFUSED_ALWAYS,
  { name: 'key without its ARN', options: { kmsKey: 'alias/disks' }, message: /takes the ARN of a key/ },
  { name: 'too large a disk', traits: { disks: [diskOf(65 * TIB)] }, message: /TiB that a volume of gp3/ },
];

function diskOf(bytes: number): Disk {
  return { id: '0', bytes, format: 'raw', file: '/images/large.raw', boots: true };
}

type Account = { ec2: EC2Client; s3: S3Client };

async function countTagged({ ec2, s3, run }: Account & { run: string }): Promise<Holdings> {
  const Filters = [{ Name: 'tag:landfall:run', Values: [run] }];
  const living = { Name: 'instance-state-name', Values: ['pending', 'running', 'stopping', 'stopped'] };
  const [tasks, snapshots, images, instances, volumes, groups, objects] = await Promise.all([
    ec2.send(new DescribeImportSnapshotTasksCommand({})),
    ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] })),
    ec2.send(new DescribeImagesCommand({ Owners: ['self'], Filters })),
    ec2.send(new DescribeInstancesCommand({ Filters: [...Filters, living] })),
    ec2.send(new DescribeVolumesCommand({ Filters })),
    ec2.send(new DescribeSecurityGroupsCommand({ Filters })),
    s3.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `landfall/${run}/web01/disk-` })),
  ]);
  // An import that was started twice makes a snapshot that nobody tags: it is known by its task.
  const made = new Set(
    (tasks.ImportSnapshotTasks ?? [])
      .filter(({ Tags }) => isOf(run, Tags))
      .map(({ SnapshotTaskDetail }) => SnapshotTaskDetail?.SnapshotId),
  );
  const counts = {
    snapshot: (snapshots.Snapshots ?? []).filter(
      ({ SnapshotId, Tags }) => isOf(run, Tags) || made.has(SnapshotId),
    ).length,
    image: images.Images?.length ?? 0,
    instance: (instances.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []).length,
    volume: volumes.Volumes?.length ?? 0,
    group: groups.SecurityGroups?.length ?? 0,
    object: objects.KeyCount ?? 0,
  };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

function isOf(run: string, tags: readonly Tag[] | undefined): boolean {
  return tags?.some(({ Key, Value }) => Key === 'landfall:run' && Value === run) ?? false;
}

/** A file beside our objects, a group named like ours, a snapshot: all without our tag. */
async function plantStrangers({ ec2, s3 }: Account): Promise<{ stand(): Promise<boolean> }> {
  const object = { Bucket: BUCKET, Key: 'landfall/landing/web01/notes.txt' };
  await s3.send(new PutObjectCommand({ ...object, Body: 'mine' }));
  const group = await ec2.send(
    new CreateSecurityGroupCommand({ GroupName: 'landfall-like', Description: 'mine', VpcId: VPC }),
  );
  const snapshotId = await importStrange({ ec2, s3 });
  return {
    stand: async () => {
      await s3.send(new HeadObjectCommand(object));
      const groups = await ec2.send(
        new DescribeSecurityGroupsCommand({ GroupIds: [group.GroupId as string] }),
      );
      const snapshots = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }));
      return groups.SecurityGroups?.length === 1 && snapshots.Snapshots?.length === 1;
    },
  };
}

async function importStrange({ ec2, s3 }: Account): Promise<string> {
  const object = { Bucket: BUCKET, Key: 'strange.raw' };
  await s3.send(new PutObjectCommand({ ...object, Body: Buffer.alloc(2 ** 20, 7) }));
  const UserBucket = { S3Bucket: object.Bucket, S3Key: object.Key };
  const { ImportTaskId } = await ec2.send(
    new ImportSnapshotCommand({ DiskContainer: { Format: 'RAW', UserBucket } }),
  );
  for (let look = 0; look < 300; look += 1) {
    const answer = await ec2.send(
      new DescribeImportSnapshotTasksCommand({ ImportTaskIds: [ImportTaskId as string] }),
    );
    const { Status, SnapshotId } = answer.ImportSnapshotTasks?.[0]?.SnapshotTaskDetail ?? {};
    if (Status === 'completed') return SnapshotId as string;
    await delay(100);
  }
  throw new Error('the strange snapshot was not imported within 30 s');
}

async function isInGroups({
  ec2,
  landing,
  groups,
}: {
  ec2: EC2Client;
  landing: Landing;
  groups: readonly string[];
}): Promise<boolean> {
  const answer = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [landing.id] }));
  const instance = answer.Reservations?.[0]?.Instances?.[0];
  const actual = (instance?.SecurityGroups ?? []).map(({ GroupId }) => GroupId);
  return JSON.stringify(actual) === JSON.stringify(groups);
}

/** The adapter takes credentials by the SDK's own chain: here, from the environment. Returns what puts it back. */
function setEnvironment(variables: Readonly<Record<string, string>>): () => void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  return () => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
}
