import { expect, test } from 'vitest';
import { completeUpload } from '../../../../adapters/targets/aws/complete-upload.ts';
import { createStepContext, type FakeStepContext } from '../../../fakes/step-context.ts';
import { machineWith } from '../machines.ts';
import { awsError, noted, type Script, type ScriptedAws, scriptAws } from './scripted-aws.ts';

const MIB = 2 ** 20;
/** CRC-32 is 5 in base64. */
const PART = { PartNumber: 1, Size: 10, ETag: '"e"', ChecksumCRC32: 'AAAABQ==' };
const LISTED = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT', Parts: [PART] };
const HEAD = { ContentLength: 10, ETag: '"x-1"', ChecksumCRC32: 'AAAABQ==', ChecksumType: 'FULL_OBJECT' };

test.each(['InvalidPart', 'BadDigest', 'ConditionalRequestConflict'])(
  'a completion that is refused with %s is tried again, since the next try lists the parts anew',
  async (code) => {
    const { completing } = await complete({
      ListParts: () => LISTED,
      CompleteMultipartUpload: () => awsError(code),
      HeadObject: () => awsError('NotFound', { status: 404 }),
    });
    await expect(completing).rejects.toMatchObject({ retryable: true });
  },
);

test('what the object must be is noted before Complete is sent, with what S3 needs to check it', async () => {
  const refs: unknown[] = [];
  const context = createStepContext();
  const { completing, sent } = await complete(
    {
      ListParts: () => LISTED,
      CompleteMultipartUpload: () => {
        refs.push(context.state.ledger[0]?.ref);
        return {};
      },
      HeadObject: () => HEAD,
    },
    context,
  );
  const artifact = await completing;
  expect(refs).toEqual([
    { lengthBytes: 10, partCount: 1, crc32: '00000005', crc32OfParts: expect.any(String) },
  ]);
  expect(sent.find(({ name }) => name === 'CompleteMultipartUpload')?.input).toMatchObject({
    IfNoneMatch: '*',
    MpuObjectSize: 10,
    ChecksumType: 'FULL_OBJECT',
    ChecksumCRC32: 'AAAABQ==',
    MultipartUpload: { Parts: [{ PartNumber: 1, ETag: '"e"', ChecksumCRC32: 'AAAABQ==' }] },
  });
  expect(artifact.digests).toEqual([{ algorithm: 'crc32', value: '00000005', isConfirmed: true }]);
  expect(context.state.ledger[0]?.state).toBe('done');
});

test.each([
  ['another length', { ...PART, Size: 11 }],
  ['another checksum', { ...PART, ChecksumCRC32: 'AAAABg==' }],
  ['another ETag where no checksum is told', { PartNumber: 1, Size: 10, ETag: '"other"' }],
  ['nothing', { ...PART, PartNumber: 2 }],
])('a part of which S3 lists %s is named, and nothing is put together', async (_, part) => {
  const { completing, sent } = await complete({ ListParts: () => ({ ...LISTED, Parts: [part] }) });
  await expect(completing).rejects.toMatchObject({
    retryable: true,
    message: expect.stringContaining('Part 1 of s3://acme/k'),
    context: { part: 1 },
  });
  expect(sent.map(({ name }) => name)).toEqual(['ListParts']);
});

test('a part that has a new ETag but the same checksum is the same, and is named by the ETag of now', async () => {
  const { completing, sent } = await complete({
    ListParts: () => ({ ...LISTED, Parts: [{ ...PART, ETag: '"later"' }] }),
    HeadObject: () => HEAD,
  });
  await completing;
  const { input } = sent.find(({ name }) => name === 'CompleteMultipartUpload') ?? {};
  expect(input).toMatchObject({ MultipartUpload: { Parts: [{ ETag: '"later"' }] } });
});

test.each([
  ['another length', { ...HEAD, ContentLength: 11 }],
  ['another checksum', { ...HEAD, ChecksumCRC32: 'AAAABg==' }],
  ['another number of parts', { ...HEAD, ETag: '"x-2"' }],
])('an object with %s than was put together is not taken', async (_, head) => {
  const { completing } = await complete({ ListParts: () => LISTED, HeadObject: () => head });
  await expect(completing).rejects.toMatchObject({
    retryable: false,
    message: expect.stringContaining('of another content'),
  });
});

test('an upload that is gone and left no object has expired', async () => {
  const { completing } = await complete({
    ListParts: () => awsError('NoSuchUpload', { status: 404 }),
    HeadObject: () => awsError('NotFound', { status: 404 }),
  });
  await expect(completing).rejects.toMatchObject({ code: 'target-missing', retryable: true });
});

test('an attempt whose lease is gone sends nothing', async () => {
  const context = createStepContext();
  const { completing, sent } = await complete({}, context, () => context.loseLease());
  await expect(completing).rejects.toMatchObject({ code: 'lease-lost' });
  expect(sent).toEqual([]);
});

async function complete(
  script: Script,
  context: FakeStepContext = createStepContext(),
  before: () => void = () => {},
): Promise<{ completing: ReturnType<typeof completeUpload>; sent: ScriptedAws['sent'] }> {
  const entry = await noted(context, 'upload:0');
  const aws = scriptAws(script);
  const container = 'raw' as const;
  const layout = {
    bucket: 'acme',
    key: 'k',
    contentId: 'c',
    container,
    partSizes: { firstBytes: 8 * MIB, growthBytes: 0 },
  };
  const request = {
    machine: machineWith(),
    disk: '0',
    diskBytes: 10,
    to: {},
    form: { kind: 'parts' as const, container },
    contentId: 'c',
    maxFileBytes: 10,
  };
  const options = { s3: aws.s3, bucket: 'acme', prefix: '', firstPartBytes: 8 * MIB };
  const upload = { options, request, context, entry, layout };
  const place = { bucket: 'acme', key: 'k', uploadId: 'u' };
  const parts = [{ bytes: 10, crc32: 5, etag: 'e' }];
  before();
  return { completing: completeUpload(upload, { place, mode: 'full-object', parts }), sent: aws.sent };
}
