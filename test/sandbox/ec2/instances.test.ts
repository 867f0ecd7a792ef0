import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVolumesCommand,
  GetConsoleOutputCommand,
  GetConsoleScreenshotCommand,
  type Instance,
  ModifyInstanceAttributeCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import jpeg from 'jpeg-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type BenchCloud,
  DB,
  makeImage,
  makeSnapshot,
  openBenchCloud,
  refusalOf,
  SUBNET,
  until,
  WEB,
} from './bench-cloud.ts';
import { bootDisk } from './boot-sector.ts';

let cloud: BenchCloud;
let imageId: string;

beforeAll(async () => {
  cloud = await openBenchCloud({ limits: { vcpus: 8, exhaustedTypes: ['m5.large'] } });
  imageId = await makeImage(cloud, bootDisk('Hello from the landed guest\r\nshop login: '));
});
afterAll(async () => await cloud?.[Symbol.asyncDispose]());
/** What a failed test left running would fail the next ones, too. */
afterEach(async () => {
  const { Reservations = [] } = await cloud.client.send(
    new DescribeInstancesCommand({
      Filters: [{ Name: 'instance-state-name', Values: ['pending', 'running', 'stopped'] }],
    }),
  );
  const left = Reservations.flatMap(({ Instances = [] }) =>
    Instances.flatMap(({ InstanceId }) => InstanceId ?? []),
  );
  for (const id of left) await terminate(id);
});

async function run(changes: Partial<RunInstancesCommandInput> = {}): Promise<Instance> {
  const { Instances } = await cloud.client.send(
    new RunInstancesCommand({
      ImageId: imageId,
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      SubnetId: SUBNET,
      SecurityGroupIds: [WEB],
      ...changes,
    }),
  );
  return Instances?.[0] ?? {};
}

async function look(id: string): Promise<Instance> {
  const { Reservations } = await cloud.client.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0] ?? {};
}

function untilState(id: string, name: string): Promise<Instance> {
  return until(
    () => look(id),
    (instance) => instance.State?.Name === name,
  );
}

async function statusOf(id: string) {
  const { InstanceStatuses } = await cloud.client.send(
    new DescribeInstanceStatusCommand({ InstanceIds: [id], IncludeAllInstances: true }),
  );
  return InstanceStatuses?.[0];
}

async function consoleOf(id: string): Promise<string> {
  const { Output } = await cloud.client.send(new GetConsoleOutputCommand({ InstanceId: id, Latest: true }));
  return Buffer.from(Output ?? '', 'base64').toString();
}

async function terminate(id: string): Promise<void> {
  await cloud.client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  await untilState(id, 'terminated');
}

describe('an instance', () => {
  it('boots the imported disk, is proven by console, screen and status, swaps groups, and leaves nothing', async () => {
    const launched = await run({
      PrivateIpAddress: '172.31.0.44',
      TagSpecifications: [
        { ResourceType: 'instance', Tags: [{ Key: 'landfall:run', Value: 'r1' }] },
        { ResourceType: 'volume', Tags: [{ Key: 'landfall:run', Value: 'r1' }] },
      ],
      IamInstanceProfile: { Name: 'web-profile' },
      BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { VolumeSize: 3, VolumeType: 'gp3' } }],
    });
    const id = launched.InstanceId ?? '';
    expect(launched.State?.Name).toBe('pending');
    const running = await untilState(id, 'running');
    expect(running).toMatchObject({
      PrivateIpAddress: '172.31.0.44',
      SubnetId: SUBNET,
      SecurityGroups: [{ GroupId: WEB, GroupName: 'web' }],
      Tags: [{ Key: 'landfall:run', Value: 'r1' }],
      CurrentInstanceBootMode: 'legacy-bios',
    });
    expect(running.LaunchTime).toBeInstanceOf(Date);

    await until(
      () => consoleOf(id),
      (text) => text.includes('shop login: '),
    );
    await until(
      () => statusOf(id),
      (status) => status?.InstanceStatus?.Status === 'ok',
    );
    expect((await statusOf(id))?.SystemStatus?.Status).toBe('ok');
    expect((await statusOf(id))?.AttachedEbsStatus?.Status).toBe('ok');

    const { ImageData = '' } = await cloud.client.send(new GetConsoleScreenshotCommand({ InstanceId: id }));
    expect(jpeg.decode(Buffer.from(ImageData, 'base64')).width).toBeGreaterThan(300);

    const { Volumes } = await cloud.client.send(
      new DescribeVolumesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [id] }] }),
    );
    expect(Volumes).toMatchObject([{ Size: 3, VolumeType: 'gp3', State: 'in-use' }]);

    await cloud.client.send(new ModifyInstanceAttributeCommand({ InstanceId: id, Groups: [DB] }));
    expect((await look(id)).SecurityGroups).toEqual([{ GroupId: DB, GroupName: 'db' }]);
    const { Groups } = await cloud.client.send(
      new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute: 'groupSet' }),
    );
    expect(Groups).toMatchObject([{ GroupId: DB }]);
    const { NetworkInterfaces } = await cloud.client.send(
      new DescribeNetworkInterfacesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [id] }] }),
    );
    expect(NetworkInterfaces).toMatchObject([{ PrivateIpAddress: '172.31.0.44', Groups: [{ GroupId: DB }] }]);

    await terminate(id);
    const gone = await look(id);
    expect(gone.PrivateIpAddress).toBeUndefined();
    expect(gone.StateReason?.Code).toBe('Client.UserInitiatedShutdown');
    expect(await readdir(join(cloud.folder, 'volumes'))).toEqual([]);
    expect(await readdir(join(cloud.folder, 'instances'))).toEqual([]);
  });

  it('stops and starts on the same disks, and reboots', async () => {
    const { InstanceId: id = '' } = await run();
    await untilState(id, 'running');
    await cloud.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
    const stopped = await untilState(id, 'stopped');
    const volumes = stopped.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.VolumeId);
    expect((await statusOf(id))?.InstanceStatus?.Status).toBe('not-applicable');
    await cloud.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
    const again = await untilState(id, 'running');
    expect(again.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.VolumeId)).toEqual(volumes);
    await until(
      () => consoleOf(id),
      (text) => text.includes('login:'),
    );
    await cloud.client.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    await until(
      () => consoleOf(id),
      (text) => !text.includes('login:'),
    );
    await until(
      () => consoleOf(id),
      (text) => text.includes('login:'),
    );
    await terminate(id);
  });

  it('keeps the disks that are not to be deleted, which then can be deleted by hand', async () => {
    const { InstanceId: id = '', BlockDeviceMappings = [] } = await run({
      BlockDeviceMappings: [
        { DeviceName: '/dev/sda1', Ebs: { DeleteOnTermination: false } },
        { DeviceName: '/dev/sdb', Ebs: { VolumeSize: 1 } },
      ],
    });
    const [root = '', blank = ''] = BlockDeviceMappings.map(({ Ebs }) => Ebs?.VolumeId);
    await untilState(id, 'running');
    expect((await refusalOf(cloud.client.send(new DeleteVolumeCommand({ VolumeId: root })))).code).toBe(
      'VolumeInUse',
    );
    await terminate(id);
    const { Volumes } = await cloud.client.send(new DescribeVolumesCommand({ VolumeIds: [root] }));
    expect(Volumes).toMatchObject([{ State: 'available', Attachments: [] }]);
    expect(
      (await refusalOf(cloud.client.send(new DescribeVolumesCommand({ VolumeIds: [blank] })))).code,
    ).toBe('InvalidVolume.NotFound');
    await cloud.client.send(new DeleteVolumeCommand({ VolumeId: root }));
    expect(await readdir(join(cloud.folder, 'volumes'))).toEqual([]);
  });

  it('that powers off follows its shutdown behaviour: `stop` keeps it, `terminate` ends it with its disks', async () => {
    const quitter = await makeImage(cloud, bootDisk('bye\r\n', { end: 'power-off' }));
    const kept = await run({ ImageId: quitter, InstanceInitiatedShutdownBehavior: 'stop' });
    const lost = await run({ ImageId: quitter, InstanceInitiatedShutdownBehavior: 'terminate' });
    const stopped = await untilState(kept.InstanceId ?? '', 'stopped');
    expect(stopped.StateReason?.Code).toBe('Client.InstanceInitiatedShutdown');
    expect(await consoleOf(kept.InstanceId ?? '')).toContain('bye');
    await untilState(lost.InstanceId ?? '', 'terminated');
    await terminate(kept.InstanceId ?? '');
  });

  it('that panics is impaired, though its host is sound', async () => {
    const panicking = await makeImage(cloud, bootDisk('Kernel panic - not syncing: VFS\r\n'));
    const { InstanceId: id = '' } = await run({ ImageId: panicking });
    await until(
      () => statusOf(id),
      (status) => status?.InstanceStatus?.Status === 'impaired',
    );
    expect((await statusOf(id))?.SystemStatus?.Status).toBe('ok');
    expect((await look(id)).State?.Name).toBe('running');
    await terminate(id);
  });

  it('boots by UEFI where its image says so', async () => {
    const efi = await makeImage(cloud, bootDisk('not for UEFI'), { BootMode: 'uefi' });
    const { InstanceId: id = '' } = await run({ ImageId: efi });
    const text = await until(
      () => consoleOf(id),
      (said) => said.includes('BdsDxe'),
    );
    expect(text).not.toContain('not for UEFI');
    await terminate(id);
  }, 60_000);

  it('is started again from its disks when the sandbox is', async () => {
    const { InstanceId: id = '' } = await run();
    await untilState(id, 'running');
    await cloud.restart();
    expect((await look(id)).State?.Name).toBe('pending');
    // A guest's console begins anew with it.
    await untilState(id, 'running');
    await until(
      () => consoleOf(id),
      (text) => text.includes('login:'),
    );
    await terminate(id);
  });

  it('reads on from its snapshot after image and snapshot were deleted, and takes the file with it', async () => {
    const doomed = await makeImage(cloud, bootDisk('orphan login: '));
    const { InstanceId: id = '', BlockDeviceMappings = [] } = await run({ ImageId: doomed });
    await untilState(id, 'running');
    const { Volumes = [] } = await cloud.client.send(
      new DescribeVolumesCommand({ VolumeIds: [BlockDeviceMappings[0]?.Ebs?.VolumeId ?? ''] }),
    );
    const SnapshotId = Volumes[0]?.SnapshotId ?? '';
    expect(await refusalOf(cloud.client.send(new DeleteSnapshotCommand({ SnapshotId })))).toEqual({
      code: 'InvalidSnapshot.InUse',
      message: `The snapshot ${SnapshotId} is currently in use by ${doomed}`,
    });
    await cloud.client.send(new DeregisterImageCommand({ ImageId: doomed }));
    await cloud.client.send(new DeleteSnapshotCommand({ SnapshotId }));
    const file = join(cloud.folder, 'snapshots', `${SnapshotId}.raw`);
    await access(file);
    await terminate(id);
    await expect(access(file)).rejects.toThrow('ENOENT');
  });
});

describe('RunInstances', () => {
  it('answers a token again with the same instance, and refuses it once that is terminated', async () => {
    const first = await run({ ClientToken: 'token-1' });
    const second = await run({ ClientToken: 'token-1' });
    expect(second.InstanceId).toBe(first.InstanceId);
    const other = await refusalOf(run({ ClientToken: 'token-1', SecurityGroupIds: [DB] }));
    expect(other.code).toBe('IdempotentParameterMismatch');
    await terminate(first.InstanceId ?? '');
    expect((await refusalOf(run({ ClientToken: 'token-1' }))).code).toBe('IdempotentInstanceTerminated');
  });

  it('refuses addresses that are taken, reserved or outside of the subnet', async () => {
    const { InstanceId = '' } = await run({ PrivateIpAddress: '172.31.0.50' });
    expect(await refusalOf(run({ PrivateIpAddress: '172.31.0.50' }))).toEqual({
      code: 'InvalidIPAddress.InUse',
      message: 'Address 172.31.0.50 is in use.',
    });
    expect((await refusalOf(run({ PrivateIpAddress: '172.31.0.3' }))).message).toContain('reserved');
    expect((await refusalOf(run({ PrivateIpAddress: '10.0.0.4' }))).message).toContain(
      'does not fall within',
    );
    await terminate(InstanceId);
  });

  it('refuses images that Nitro does not boot: those registered with the defaults of RegisterImage', async () => {
    const SnapshotId = await makeSnapshot(cloud, bootDisk('x'));
    const mapping = [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId } }];
    const plain = await makeImage(cloud, bootDisk('x'), {
      Architecture: undefined,
      VirtualizationType: undefined,
      BlockDeviceMappings: mapping,
    });
    expect((await refusalOf(run({ ImageId: plain }))).message).toContain("'i386'");
    const paravirtual = await makeImage(cloud, bootDisk('x'), { VirtualizationType: undefined });
    expect((await refusalOf(run({ ImageId: paravirtual }))).message).toContain("'hvm' is required");
    const bare = await makeImage(cloud, bootDisk('x'), { EnaSupport: false });
    expect((await refusalOf(run({ ImageId: bare }))).message).toContain('Elastic Network Adapter');
  });

  it('meets quota and capacity, and unknown things by name', async () => {
    const codeOf = async (changes: Partial<RunInstancesCommandInput>) => (await refusalOf(run(changes))).code;
    expect(await codeOf({ InstanceType: 'm6i.4xlarge' })).toBe('VcpuLimitExceeded');
    expect(await codeOf({ InstanceType: 'm5.large' })).toBe('InsufficientInstanceCapacity');
    expect(await codeOf({ ImageId: 'ami-00000000000000000' })).toBe('InvalidAMIID.NotFound');
    expect(await codeOf({ ImageId: 'nonsense' })).toBe('InvalidAMIID.Malformed');
    expect(await codeOf({ SubnetId: 'subnet-00000000000000000' })).toBe('InvalidSubnetID.NotFound');
    expect(await codeOf({ SecurityGroupIds: ['sg-00000000000000000'] })).toBe('InvalidGroup.NotFound');
    expect(await codeOf({ KeyName: 'nobody' })).toBe('InvalidKeyPair.NotFound');
    expect(await codeOf({ IamInstanceProfile: { Name: 'nobody' } })).toBe('InvalidParameterValue');
    expect(await codeOf({ BlockDeviceMappings: [{ DeviceName: '/dev/sda1', NoDevice: '' }] })).toBe(
      'InvalidBlockDeviceMapping',
    );
    expect(await codeOf({ DryRun: true })).toBe('DryRunOperation');
    const { Reservations } = await cloud.client.send(
      new DescribeInstancesCommand({
        Filters: [{ Name: 'instance-state-name', Values: ['pending', 'running'] }],
      }),
    );
    expect(Reservations).toEqual([]);
  });
});

describe('what an instance does not allow', () => {
  it('is said in EC2’s words', async () => {
    const { InstanceId: id = '' } = await run({ DisableApiTermination: true });
    await untilState(id, 'running');
    const kill = () => cloud.client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    expect((await refusalOf(kill())).code).toBe('OperationNotPermitted');
    const modify = (changes: object) =>
      cloud.client.send(new ModifyInstanceAttributeCommand({ InstanceId: id, ...changes }));
    expect((await refusalOf(modify({ InstanceType: { Value: 't3.small' } }))).code).toBe(
      'IncorrectInstanceState',
    );
    expect((await refusalOf(modify({ Groups: ['sg-00000000000000000'] }))).code).toBe(
      'InvalidGroup.NotFound',
    );
    expect((await refusalOf(modify({}))).code).toBe('MissingParameter');
    expect(
      (
        await refusalOf(
          modify({
            DisableApiTermination: { Value: false },
            InstanceInitiatedShutdownBehavior: { Value: 'stop' },
          }),
        )
      ).code,
    ).toBe('InvalidParameterCombination');
    await modify({ InstanceInitiatedShutdownBehavior: { Value: 'terminate' } });
    const { InstanceInitiatedShutdownBehavior } = await cloud.client.send(
      new DescribeInstanceAttributeCommand({
        InstanceId: id,
        Attribute: 'instanceInitiatedShutdownBehavior',
      }),
    );
    expect(InstanceInitiatedShutdownBehavior?.Value).toBe('terminate');
    await modify({ DisableApiTermination: { Value: false } });
    await terminate(id);
    expect((await refusalOf(cloud.client.send(new StartInstancesCommand({ InstanceIds: [id] })))).code).toBe(
      'IncorrectInstanceState',
    );
    expect((await refusalOf(look('i-00000000000000000'))).code).toBe('InvalidInstanceID.NotFound');
  });
});
