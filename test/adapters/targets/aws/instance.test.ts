import { describe, expect, test } from 'vitest';
import { startInstance } from '../../../../adapters/targets/aws/instance.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { LedgerState } from '../../../../src/domain/ports.ts';
import { createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { noted, type Script, type ScriptedAws, scriptAws, tagsOf } from './scripted-aws.ts';

describe('an instance that ended', () => {
  test.each<[string, LedgerState, string]>([
    ['by somebody', 'done', 'Client.UserInitiatedShutdown'],
    ['by AWS while it started', 'intended', 'Server.InternalError'],
  ])('%s leaves none of its disks behind', async (_, state, reason) => {
    const context = createStepContext();
    await noted(context, 'instance', { state, ref: { instanceId: 'i-1' } });
    const aws = scriptAws({
      ...ended(context, reason),
      RunInstances: () => ({ Instances: [{ InstanceId: 'i-2' }] }),
    });
    await start(aws, context).catch(() => {});
    expect(inputsOf(aws, 'DeleteVolume')).toEqual([{ VolumeId: 'vol-1' }]);
  });
});

test('one that shuts down is waited for: it holds its private address until it is terminated', async () => {
  const context = createStepContext();
  await noted(context, 'instance', { ref: { instanceId: 'i-1' } });
  const aws = scriptAws({ DescribeInstances: () => inState('shutting-down') });
  await expect(start(aws, context)).resolves.toMatchObject({ kind: 'wait' });
  expect(inputsOf(aws, 'RunInstances')).toEqual([]);
});

describe('via import-image', () => {
  const mapping = { DeviceName: '/dev/sda1', Ebs: { SnapshotId: 'snap-1', DeleteOnTermination: true } };

  test.each([
    ['is not listed yet', []],
    ['is listed without its disks yet', [{ ImageId: 'ami-1', BlockDeviceMappings: [] }]],
  ])('an AMI that %s is not launched, since its disks would go with the instance', async (_, Images) => {
    const aws = scriptAws({ DescribeImages: () => ({ Images }) }, { via: 'import-image' });
    await expect(start(aws, createStepContext())).rejects.toMatchObject({
      code: 'target-unavailable',
      retryable: true,
    });
    expect(inputsOf(aws, 'RunInstances')).toEqual([]);
  });

  test('io2 disks get the IOPS that AWS demands', async () => {
    const aws = scriptAws(
      {
        DescribeImages: () => ({ Images: [{ ImageId: 'ami-1', BlockDeviceMappings: [mapping] }] }),
        RunInstances: () => ({ Instances: [{ InstanceId: 'i-1' }] }),
        DescribeInstances: () => inState('running'),
      },
      { via: 'import-image', volumeType: 'io2' },
    );
    await start(aws, createStepContext());
    expect(inputsOf(aws, 'RunInstances')).toMatchObject([
      { BlockDeviceMappings: [{ Ebs: { DeleteOnTermination: false, VolumeType: 'io2', Iops: 3000 } }] },
    ]);
  });
});

describe('an attempt that was killed before it noted the instance', () => {
  test('is found by its tag, also after AWS forgot the client token', async () => {
    const context = createStepContext();
    await context.ledger.intend('instance');
    const aws = scriptAws({ DescribeInstances: () => inState('running') });
    await expect(start(aws, context)).resolves.toMatchObject({ kind: 'done', value: { InstanceId: 'i-1' } });
    expect(inputsOf(aws, 'RunInstances')).toEqual([]);
  });
});

test('an instance gets no public address, whatever the subnet gives by itself', async () => {
  const aws = scriptAws({
    RunInstances: () => ({ Instances: [{ InstanceId: 'i-1' }] }),
    DescribeInstances: () => inState('running'),
  });
  await start(aws, createStepContext(), { privateIp: '10.0.0.9' });
  expect(inputsOf(aws, 'RunInstances')).toMatchObject([
    {
      NetworkInterfaces: [
        {
          SubnetId: 'subnet-1',
          Groups: ['sg-1'],
          PrivateIpAddress: '10.0.0.9',
          AssociatePublicIpAddress: false,
        },
      ],
    },
  ]);
});

function inState(Name: string) {
  return { Reservations: [{ Instances: [{ InstanceId: 'i-1', State: { Name } }] }] };
}

function ended(context: FakeStepContext, Code: string): Script {
  const Volumes = [{ VolumeId: 'vol-1', Tags: tagsOf(context) }];
  return {
    DescribeInstances: ({ InstanceIds }) => ({
      Reservations: [
        {
          Instances: [
            String(InstanceIds) === 'i-1'
              ? { InstanceId: 'i-1', State: { Name: 'terminated' }, StateReason: { Code } }
              : { InstanceId: 'i-2', State: { Name: 'running' } },
          ],
        },
      ],
    }),
    DescribeVolumes: () => ({ Volumes }),
  };
}

function start(aws: ScriptedAws, context: FakeStepContext, to: JsonObject = {}) {
  const request = { machine: machineWith(), to, artifacts: [] };
  return startInstance(aws, {
    request,
    imageId: 'ami-1',
    quarantineGroup: 'sg-1',
    subnet: 'subnet-1',
    context,
  });
}

function inputsOf({ sent }: ScriptedAws, command: string) {
  return sent.filter(({ name }) => name === command).map(({ input }) => input);
}
