import { expect, test } from 'vitest';
import { completeUpload } from '../../../../adapters/targets/aws/complete-upload.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { awsError, noted, scriptAws } from './scripted-aws.ts';

test.each(['InvalidPart', 'BadDigest', 'ConditionalRequestConflict'])(
  'a completion that is refused with %s is tried again, since the next try lists the parts anew',
  async (code) => {
    const context = createStepContext();
    const entry = await noted(context, 'upload:0');
    const { s3 } = scriptAws({
      CompleteMultipartUpload: () => awsError(code),
      HeadObject: () => awsError('NotFound', { status: 404 }),
    });
    const layout = { bucket: 'acme', key: 'k', lengthBytes: 10, partBytes: 10 };
    const upload = {
      options: { s3, bucket: 'acme', prefix: '', partBytes: 10 },
      request: { machine: machineWith(), disk: '0', to: {}, container: 'raw' as const, lengthBytes: 10 },
      context,
      entry,
      layout,
    };
    const completion = {
      place: { bucket: 'acme', key: 'k', uploadId: 'u' },
      mode: 'full-object' as const,
      parts: new Map([[1, { bytes: 10, crc32: 5, etag: 'e' }]]),
      crc32ByPart: [5],
    };
    await expect(completeUpload(upload, completion)).rejects.toMatchObject({ retryable: true });
  },
);
