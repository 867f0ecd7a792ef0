import { describe, expect, test } from 'vitest';
import { registerImage } from '../../../../adapters/targets/aws/image.ts';
import { importSnapshots } from '../../../../adapters/targets/aws/import-snapshot.ts';
import { startInstance } from '../../../../adapters/targets/aws/instance.ts';
import { openQuarantine } from '../../../../adapters/targets/aws/quarantine.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import { createManualClock, createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { awsError, noted, type ScriptedAws, scriptAws, tagsOf } from './scripted-aws.ts';

const machine = machineWith();
const LATER = { code: 'target-unavailable', retryable: true };

describe('what was made a moment ago and is not seen yet is tried again', () => {
  test('a snapshot, when it is tagged', async () => {
    const context = createStepContext();
    await noted(context, 'import-task:0', { ref: { taskId: 'import-snap-1' } });
    const aws = scriptAws({
      DescribeImportSnapshotTasks: () => ({
        ImportSnapshotTasks: [{ SnapshotTaskDetail: { Status: 'completed', SnapshotId: 'snap-1' } }],
      }),
      CreateTags: () => awsError('InvalidSnapshot.NotFound'),
    });
    const artifacts = [{ disk: '0', ref: {} } as unknown as Artifact];
    await expect(importSnapshots(aws, { machine, to: {}, artifacts }, context)).rejects.toMatchObject(LATER);
  });

  test('a snapshot, when an AMI is registered from it', async () => {
    const context = createStepContext();
    await noted(context, 'import-task:0', { state: 'done', ref: { snapshotId: 'snap-1' } });
    const aws = scriptAws({ RegisterImage: () => awsError('InvalidSnapshot.NotFound') });
    const request = { machine, to: {}, artifacts: [] };
    const registered = registerImage(aws, { request, snapshots: { '0': 'snap-1' }, context });
    await expect(registered).rejects.toMatchObject(LATER);
  });

  test.each(['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable', 'InvalidGroup.NotFound'])(
    'an instance that is refused with %s',
    async (code) => {
      const context = createStepContext();
      await noted(context, 'image', { state: 'done', ref: { imageId: 'ami-1' } });
      await noted(context, 'quarantine', { state: 'done', ref: { groupId: 'sg-1' } });
      await expect(start(scriptAws({ RunInstances: () => awsError(code) }), context)).rejects.toMatchObject(
        LATER,
      );
    },
  );

  test('the quarantine group, when its rules are removed', async () => {
    const context = createStepContext();
    const group = { GroupId: 'sg-1', Tags: tagsOf(context), IpPermissionsEgress: [{ IpProtocol: '-1' }] };
    const aws = scriptAws({
      DescribeSubnets: () => ({ Subnets: [{ VpcId: 'vpc-1' }] }),
      DescribeSecurityGroups: () => ({ SecurityGroups: [group] }),
      RevokeSecurityGroupEgress: () => awsError('InvalidGroup.NotFound'),
    });
    await expect(openQuarantine(aws, 'subnet-1', context)).rejects.toMatchObject(LATER);
  });
});

describe('what is gone for good ends the step at once', () => {
  test('an AMI that was made long ago', async () => {
    const clock = createManualClock();
    const context = createStepContext({ clock });
    await noted(context, 'image', { state: 'done', ref: { imageId: 'ami-1' } });
    clock.advance(3_600_000);
    const aws = scriptAws({ RunInstances: () => awsError('InvalidAMIID.NotFound') });
    await expect(start(aws, context)).rejects.toMatchObject({ code: 'target-missing', retryable: false });
  });

  test('a quarantine group that the wave names', async () => {
    const aws = scriptAws(
      { RunInstances: () => awsError('InvalidGroup.NotFound') },
      { quarantineGroup: 'sg-1' },
    );
    await expect(start(aws, createStepContext())).rejects.toMatchObject({ code: 'target-missing' });
  });
});

function start(aws: ScriptedAws, context: FakeStepContext) {
  const request = { machine, to: {}, artifacts: [] };
  const place = { imageId: 'ami-1', quarantineGroup: 'sg-1', subnet: 'subnet-1' };
  return startInstance(aws, { request, ...place, context });
}
