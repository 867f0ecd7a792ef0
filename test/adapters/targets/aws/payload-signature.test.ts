import { hash } from 'node:crypto';
import { S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { signOffLoop } from '../../../../adapters/targets/aws/payload-signature.ts';

const BYTES = Buffer.from('a part');
const SHA256 = hash('sha256', BYTES);

test.each([
  ['https', true, 'UNSIGNED-PAYLOAD'],
  ['https', false, SHA256],
  ['http', true, SHA256],
])(
  'over %s, checked by the server: %s, the payload is signed as %s',
  async (protocol, isChecked, expected) => {
    expect(await signedOver(`${protocol}://s3.invalid`, isChecked)).toBe(expected);
  },
);

/** What the request says of its payload, signed and ready to be sent. */
async function signedOver(endpoint: string, isChecked: boolean): Promise<string | undefined> {
  const headers: Record<string, string>[] = [];
  const s3 = new S3Client({
    region: 'us-east-1',
    endpoint,
    credentials: { accessKeyId: 'AKIA', secretAccessKey: 'secret' },
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: { headers: Record<string, string> }) => {
        headers.push(request.headers);
        throw new Error('not sent');
      },
    },
  });
  const command = new UploadPartCommand({ Bucket: 'b', Key: 'k', UploadId: 'u', PartNumber: 1, Body: BYTES });
  signOffLoop(command, { bytes: BYTES, isChecked });
  await expect(s3.send(command)).rejects.toThrow('not sent');
  expect(headers[0]?.authorization).toContain('x-amz-content-sha256');
  return headers[0]?.['x-amz-content-sha256'];
}
