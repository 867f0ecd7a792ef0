import { expect, test } from 'vitest';
import { admitInstance } from '../../../../adapters/targets/aws/admit.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { awsError, noted, scriptAws, tagsOf } from './scripted-aws.ts';

test('a machine is in service though its quarantine group could not be removed; the ledger still knows it', async () => {
  const context = createStepContext();
  await noted(context, 'quarantine', { state: 'done', ref: { groupId: 'sg-1' } });
  const instance = { InstanceId: 'i-1', State: { Name: 'running' }, SecurityGroups: [{ GroupId: 'sg-9' }] };
  const aws = scriptAws({
    DescribeInstances: () => ({ Reservations: [{ Instances: [instance] }] }),
    DescribeSecurityGroups: () => ({ SecurityGroups: [{ GroupId: 'sg-1', Tags: tagsOf(context) }] }),
    DeleteSecurityGroup: () => awsError('UnauthorizedOperation', { status: 403 }),
  });
  const landing = { kind: 'aws-instance', id: 'i-1', ref: { instanceId: 'i-1' } };
  const admitted = await admitInstance(aws, { to: { groups: ['sg-9'] }, landing }, context);
  expect(admitted.kind).toBe('done');
  expect(context.logs).toEqual([
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('ec2:DeleteSecurityGroup') }),
  ]);
  const entries = await context.ledger.entries();
  expect(entries.find(({ thing }) => thing === 'quarantine')?.state).toBe('done');
});
