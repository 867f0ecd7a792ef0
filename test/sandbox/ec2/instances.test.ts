import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeInstanceAttributeCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVolumesCommand,
  GetConsoleScreenshotCommand,
  ModifyInstanceAttributeCommand,
  RebootInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import jpeg from 'jpeg-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DB, makeImage, refusalOf, SUBNET, until, WEB } from './bench-cloud.ts';
import { type BenchInstances, openBenchInstances } from './bench-instances.ts';
import { bootDisk } from './boot-sector.ts';

let bench: BenchInstances;
beforeAll(async () => {
  bench = await openBenchInstances();
});
afterAll(async () => await bench?.[Symbol.asyncDispose]());
afterEach(() => bench.terminateAll());

describe('an instance', () => {
  it('boots the imported disk, is proven by console, screen and status, swaps groups, and leaves nothing', async () => {
    const launched = await bench.run({
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
    const running = await bench.untilState(id, 'running');
    expect(running).toMatchObject({
      PrivateIpAddress: '172.31.0.44',
      SubnetId: SUBNET,
      SecurityGroups: [{ GroupId: WEB, GroupName: 'web' }],
      Tags: [{ Key: 'landfall:run', Value: 'r1' }],
      CurrentInstanceBootMode: 'legacy-bios',
    });
    expect(running.LaunchTime).toBeInstanceOf(Date);

    await until(
      () => bench.consoleOf(id),
      (text) => text.includes('shop login: '),
    );
    await until(
      () => bench.statusOf(id),
      (status) => status?.InstanceStatus?.Status === 'ok',
    );
    expect((await bench.statusOf(id))?.SystemStatus?.Status).toBe('ok');
    expect((await bench.statusOf(id))?.AttachedEbsStatus?.Status).toBe('ok');

    const { ImageData = '' } = await bench.cloud.client.send(
      new GetConsoleScreenshotCommand({ InstanceId: id }),
    );
    expect(jpeg.decode(Buffer.from(ImageData, 'base64')).width).toBeGreaterThan(300);

    const { Volumes } = await bench.cloud.client.send(
      new DescribeVolumesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [id] }] }),
    );
    expect(Volumes).toMatchObject([{ Size: 3, VolumeType: 'gp3', State: 'in-use' }]);

    await bench.cloud.client.send(new ModifyInstanceAttributeCommand({ InstanceId: id, Groups: [DB] }));
    expect((await bench.look(id)).SecurityGroups).toEqual([{ GroupId: DB, GroupName: 'db' }]);
    const { Groups } = await bench.cloud.client.send(
      new DescribeInstanceAttributeCommand({ InstanceId: id, Attribute: 'groupSet' }),
    );
    expect(Groups).toMatchObject([{ GroupId: DB }]);
    const { NetworkInterfaces } = await bench.cloud.client.send(
      new DescribeNetworkInterfacesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [id] }] }),
    );
    expect(NetworkInterfaces).toMatchObject([{ PrivateIpAddress: '172.31.0.44', Groups: [{ GroupId: DB }] }]);

    await bench.terminate(id);
    const gone = await bench.look(id);
    expect(gone.PrivateIpAddress).toBeUndefined();
    expect(gone.StateReason?.Code).toBe('Client.UserInitiatedShutdown');
    expect(await readdir(join(bench.cloud.folder, 'volumes'))).toEqual([]);
    expect(await readdir(join(bench.cloud.folder, 'instances'))).toEqual([]);
  });

  it('stops and starts on the same disks, and reboots', async () => {
    const { InstanceId: id = '' } = await bench.run();
    await bench.untilState(id, 'running');
    await bench.cloud.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
    const stopped = await bench.untilState(id, 'stopped');
    const volumes = stopped.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.VolumeId);
    expect((await bench.statusOf(id))?.InstanceStatus?.Status).toBe('not-applicable');
    await bench.cloud.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
    const again = await bench.untilState(id, 'running');
    expect(again.BlockDeviceMappings?.map(({ Ebs }) => Ebs?.VolumeId)).toEqual(volumes);
    await until(
      () => bench.consoleOf(id),
      (text) => text.includes('login:'),
    );
    await bench.cloud.client.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    await until(
      () => bench.consoleOf(id),
      (text) => !text.includes('login:'),
    );
    await until(
      () => bench.consoleOf(id),
      (text) => text.includes('login:'),
    );
    await bench.terminate(id);
  });

  it('keeps the disks that are not to be deleted, which then can be deleted by hand', async () => {
    const { InstanceId: id = '', BlockDeviceMappings = [] } = await bench.run({
      BlockDeviceMappings: [
        { DeviceName: '/dev/sda1', Ebs: { DeleteOnTermination: false } },
        { DeviceName: '/dev/sdb', Ebs: { VolumeSize: 1 } },
      ],
    });
    const [root = '', blank = ''] = BlockDeviceMappings.map(({ Ebs }) => Ebs?.VolumeId);
    await bench.untilState(id, 'running');
    expect((await refusalOf(bench.cloud.client.send(new DeleteVolumeCommand({ VolumeId: root })))).code).toBe(
      'VolumeInUse',
    );
    await bench.terminate(id);
    const { Volumes } = await bench.cloud.client.send(new DescribeVolumesCommand({ VolumeIds: [root] }));
    expect(Volumes).toMatchObject([{ State: 'available', Attachments: [] }]);
    expect(
      (await refusalOf(bench.cloud.client.send(new DescribeVolumesCommand({ VolumeIds: [blank] })))).code,
    ).toBe('InvalidVolume.NotFound');
    await bench.cloud.client.send(new DeleteVolumeCommand({ VolumeId: root }));
    expect(await readdir(join(bench.cloud.folder, 'volumes'))).toEqual([]);
  });

  it('that powers off follows its shutdown behaviour: `stop` keeps it, `terminate` ends it with its disks', async () => {
    const quitter = await makeImage(bench.cloud, bootDisk('bye\r\n', { end: 'power-off' }));
    const kept = await bench.run({ ImageId: quitter, InstanceInitiatedShutdownBehavior: 'stop' });
    const lost = await bench.run({ ImageId: quitter, InstanceInitiatedShutdownBehavior: 'terminate' });
    const stopped = await bench.untilState(kept.InstanceId ?? '', 'stopped');
    expect(stopped.StateReason?.Code).toBe('Client.InstanceInitiatedShutdown');
    expect(await bench.consoleOf(kept.InstanceId ?? '')).toContain('bye');
    await bench.untilState(lost.InstanceId ?? '', 'terminated');
    await bench.terminate(kept.InstanceId ?? '');
  });

  it('that panics is impaired, though its host is sound', async () => {
    const panicking = await makeImage(bench.cloud, bootDisk('Kernel panic - not syncing: VFS\r\n'));
    const { InstanceId: id = '' } = await bench.run({ ImageId: panicking });
    await until(
      () => bench.statusOf(id),
      (status) => status?.InstanceStatus?.Status === 'impaired',
    );
    expect((await bench.statusOf(id))?.SystemStatus?.Status).toBe('ok');
    expect((await bench.look(id)).State?.Name).toBe('running');
    await bench.terminate(id);
  });

  it('boots by UEFI where its image says so', async () => {
    const efi = await makeImage(bench.cloud, bootDisk('not for UEFI'), { BootMode: 'uefi' });
    const { InstanceId: id = '' } = await bench.run({ ImageId: efi });
    const text = await until(
      () => bench.consoleOf(id),
      (said) => said.includes('BdsDxe'),
    );
    expect(text).not.toContain('not for UEFI');
    await bench.terminate(id);
  }, 60_000);

  it('is started again from its disks when the sandbox is', async () => {
    const { InstanceId: id = '' } = await bench.run();
    await bench.untilState(id, 'running');
    await bench.cloud.restart();
    expect((await bench.look(id)).State?.Name).toBe('pending');
    // A guest's console begins anew with it.
    await bench.untilState(id, 'running');
    await until(
      () => bench.consoleOf(id),
      (text) => text.includes('login:'),
    );
    await bench.terminate(id);
  });

  it('reads on from its snapshot after image and snapshot were deleted, and takes the file with it', async () => {
    const doomed = await makeImage(bench.cloud, bootDisk('orphan login: '));
    const { InstanceId: id = '', BlockDeviceMappings = [] } = await bench.run({ ImageId: doomed });
    await bench.untilState(id, 'running');
    const { Volumes = [] } = await bench.cloud.client.send(
      new DescribeVolumesCommand({ VolumeIds: [BlockDeviceMappings[0]?.Ebs?.VolumeId ?? ''] }),
    );
    const SnapshotId = Volumes[0]?.SnapshotId ?? '';
    expect(await refusalOf(bench.cloud.client.send(new DeleteSnapshotCommand({ SnapshotId })))).toEqual({
      code: 'InvalidSnapshot.InUse',
      message: `The snapshot ${SnapshotId} is currently in use by ${doomed}`,
    });
    await bench.cloud.client.send(new DeregisterImageCommand({ ImageId: doomed }));
    await bench.cloud.client.send(new DeleteSnapshotCommand({ SnapshotId }));
    const file = join(bench.cloud.folder, 'snapshots', `${SnapshotId}.raw`);
    await access(file);
    await bench.terminate(id);
    await expect(access(file)).rejects.toThrow('ENOENT');
  });
});
