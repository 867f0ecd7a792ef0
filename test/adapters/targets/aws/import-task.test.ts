import { expect, test } from 'vitest';
import { asAwsError } from '../../../../adapters/targets/aws/errors.ts';
import { explainRefusal } from '../../../../adapters/targets/aws/import-task.ts';
import { awsError } from './scripted-aws.ts';

test('a refusal is explained by what AWS said, never by the names of machines and buckets', () => {
  const call = {
    doing: 'Starting the import of kms-01 disk 0',
    action: 'ec2:ImportSnapshot',
    resource: 's3://quota/kms-01',
  };
  const error = asAwsError(
    call,
    awsError('InvalidParameterValue', { message: 'The key has an odd suffix.' }),
  );
  expect(explainRefusal(error, 'kms-01 disk 0')).toMatchObject({
    message: expect.stringContaining('without a reason that Landfall knows'),
  });
});
