import { expect, test } from 'vitest';
import { importMachine } from '../../../../adapters/targets/aws/import.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { awsError, noted, scriptAws } from './scripted-aws.ts';

test('a machine is imported though its objects could not be removed; the ledger still knows them', async () => {
  const context = createStepContext();
  await noted(context, 'upload:0', { state: 'done', ref: { bucket: 'acme', key: 'disk-0' } });
  await noted(context, 'import-task', { state: 'done', ref: { imageId: 'ami-1' } });
  await noted(context, 'instance', { ref: { instanceId: 'i-1' } });
  const aws = scriptAws(
    {
      DescribeInstances: () => ({
        Reservations: [{ Instances: [{ InstanceId: 'i-1', State: { Name: 'running' } }] }],
      }),
      DeleteObject: () => awsError('AccessDenied', { status: 403 }),
    },
    { via: 'import-image', quarantineGroup: 'sg-1' },
  );
  const request = { machine: machineWith(), to: { subnet: 'subnet-1' }, artifacts: [] };
  await expect(importMachine(aws, request, context)).resolves.toMatchObject({ kind: 'done' });
  expect(context.logs).toEqual([
    expect.objectContaining({ level: 'warn', message: expect.stringContaining('s3:DeleteObject') }),
  ]);
  const entries = await context.ledger.entries();
  expect(entries.find(({ thing }) => thing === 'upload:0')?.state).toBe('done');
});
