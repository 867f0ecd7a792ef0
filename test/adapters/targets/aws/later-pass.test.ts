import { expect, test } from 'vitest';
import { createAwsTarget } from '../../../../adapters/targets/aws/target.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';

test('a file in S3 takes no later pass, and the wave is told what does', async () => {
  const target = createAwsTarget({ region: 'eu-central-1', bucket: 'acme-mig' });
  const context = createStepContext();
  const upload = target.openUpload(
    {
      machine: machineWith(),
      disk: '0',
      diskBytes: 2 ** 30,
      to: {},
      form: { kind: 'parts', container: 'raw' },
      contentId: 'content-2',
      maxFileBytes: 2 ** 30,
      pass: { number: 1, isLast: true, previous: null },
    },
    context,
  );
  await expect(upload).rejects.toMatchObject({
    code: 'target-refused',
    retryable: false,
    message: expect.stringContaining('`via: ebs-direct`'),
  });
  expect(context.state.ledger).toEqual([]);
});
