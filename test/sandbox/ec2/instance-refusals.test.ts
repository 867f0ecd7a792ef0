import {
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  ModifyInstanceAttributeCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DB, makeImage, makeSnapshot, refusalOf } from './bench-cloud.ts';
import { type BenchInstances, openBenchInstances } from './bench-instances.ts';
import { bootDisk } from './boot-sector.ts';

let bench: BenchInstances;
beforeAll(async () => {
  bench = await openBenchInstances();
});
afterAll(async () => await bench?.[Symbol.asyncDispose]());
afterEach(() => bench.terminateAll());

describe('RunInstances', () => {
  it('answers a token again with the same instance, and refuses it once that is terminated', async () => {
    const first = await bench.run({ ClientToken: 'token-1' });
    const second = await bench.run({ ClientToken: 'token-1' });
    expect(second.InstanceId).toBe(first.InstanceId);
    const other = await refusalOf(bench.run({ ClientToken: 'token-1', SecurityGroupIds: [DB] }));
    expect(other.code).toBe('IdempotentParameterMismatch');
    await bench.terminate(first.InstanceId ?? '');
    expect((await refusalOf(bench.run({ ClientToken: 'token-1' }))).code).toBe(
      'IdempotentInstanceTerminated',
    );
  });

  it('refuses addresses that are taken, reserved or outside of the subnet', async () => {
    const { InstanceId = '' } = await bench.run({ PrivateIpAddress: '172.31.0.50' });
    expect(await refusalOf(bench.run({ PrivateIpAddress: '172.31.0.50' }))).toEqual({
      code: 'InvalidIPAddress.InUse',
      message: 'Address 172.31.0.50 is in use.',
    });
    expect((await refusalOf(bench.run({ PrivateIpAddress: '172.31.0.3' }))).message).toContain('reserved');
    expect((await refusalOf(bench.run({ PrivateIpAddress: '10.0.0.4' }))).message).toContain(
      'does not fall within',
    );
    await bench.terminate(InstanceId);
  });

  it('refuses images that Nitro does not boot: those registered with the defaults of RegisterImage', async () => {
    const SnapshotId = await makeSnapshot(bench.cloud, bootDisk('x'));
    const mapping = [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId } }];
    const plain = await makeImage(bench.cloud, bootDisk('x'), {
      Architecture: undefined,
      VirtualizationType: undefined,
      BlockDeviceMappings: mapping,
    });
    expect((await refusalOf(bench.run({ ImageId: plain }))).message).toContain("'i386'");
    const paravirtual = await makeImage(bench.cloud, bootDisk('x'), { VirtualizationType: undefined });
    expect((await refusalOf(bench.run({ ImageId: paravirtual }))).message).toContain("'hvm' is required");
    const bare = await makeImage(bench.cloud, bootDisk('x'), { EnaSupport: false });
    expect((await refusalOf(bench.run({ ImageId: bare }))).message).toContain('Elastic Network Adapter');
  });

  it('meets quota and capacity, and unknown things by name', async () => {
    const codeOf = async (changes: Partial<RunInstancesCommandInput>) =>
      (await refusalOf(bench.run(changes))).code;
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
    const { Reservations } = await bench.cloud.client.send(
      new DescribeInstancesCommand({
        Filters: [{ Name: 'instance-state-name', Values: ['pending', 'running'] }],
      }),
    );
    expect(Reservations).toEqual([]);
  });
});

describe('what an instance does not allow', () => {
  it('is said in EC2’s words', async () => {
    const { InstanceId: id = '' } = await bench.run({ DisableApiTermination: true });
    await bench.untilState(id, 'running');
    const kill = () => bench.cloud.client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    expect((await refusalOf(kill())).code).toBe('OperationNotPermitted');
    const modify = (changes: object) =>
      bench.cloud.client.send(new ModifyInstanceAttributeCommand({ InstanceId: id, ...changes }));
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
    const { InstanceInitiatedShutdownBehavior } = await bench.cloud.client.send(
      new DescribeInstanceAttributeCommand({
        InstanceId: id,
        Attribute: 'instanceInitiatedShutdownBehavior',
      }),
    );
    expect(InstanceInitiatedShutdownBehavior?.Value).toBe('terminate');
    await modify({ DisableApiTermination: { Value: false } });
    await bench.terminate(id);
    expect(
      (await refusalOf(bench.cloud.client.send(new StartInstancesCommand({ InstanceIds: [id] })))).code,
    ).toBe('IncorrectInstanceState');
    expect((await refusalOf(bench.look('i-00000000000000000'))).code).toBe('InvalidInstanceID.NotFound');
  });
});
