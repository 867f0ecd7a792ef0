import { Hash, hash, randomBytes } from 'node:crypto';
import { S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { expect, test, vi } from 'vitest';
import { SLICE_BYTES, signInSlices } from '../../../../adapters/targets/aws/payload-signature.ts';

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

test('a long part is digested in slices, the event loop served between any two of them', async () => {
  const bytes = randomBytes(3 * SLICE_BYTES + 1);
  using digested = watchSlices();
  expect(await signedOver('http://s3.invalid', false, bytes)).toBe(hash('sha256', bytes));
  // Of its own digest, the SDK hashes nothing so long.
  const slices = digested.slices.filter(({ lengthBytes }) => lengthBytes === SLICE_BYTES);
  expect(slices).toHaveLength(3);
  expect(new Set(slices.map(({ turn }) => turn)).size).toBe(3);
});

/** What is hashed in this thread, and in which turn of the event loop. */
function watchSlices(): Disposable & { slices: { turn: number; lengthBytes: number }[] } {
  const slices: { turn: number; lengthBytes: number }[] = [];
  let turn = 0;
  let next: NodeJS.Immediate;
  const count = (): void => {
    turn += 1;
    next = setImmediate(count);
  };
  count();
  const { update } = Hash.prototype;
  const watched = vi.spyOn(Hash.prototype, 'update').mockImplementation(function (this: Hash, ...given) {
    slices.push({ turn, lengthBytes: Buffer.byteLength(given[0]) });
    return update.apply(this, given);
  });
  return {
    slices,
    [Symbol.dispose]() {
      clearImmediate(next);
      watched.mockRestore();
    },
  };
}

/** What the request says of its payload, signed and ready to be sent. */
async function signedOver(
  endpoint: string,
  isChecked: boolean,
  bytes: Uint8Array = BYTES,
): Promise<string | undefined> {
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
  const command = new UploadPartCommand({ Bucket: 'b', Key: 'k', UploadId: 'u', PartNumber: 1, Body: bytes });
  signInSlices(command, { bytes, isChecked });
  await expect(s3.send(command)).rejects.toThrow('not sent');
  expect(headers[0]?.authorization).toContain('x-amz-content-sha256');
  return headers[0]?.['x-amz-content-sha256'];
}
