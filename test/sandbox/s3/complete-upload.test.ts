import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as s3 from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';
import { BIG, Bucket, crcOf, createUploads, FULL, TAIL } from './part-uploads.ts';

let fixture: Fixture;
let client: s3.S3Client;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  client = fixture.s3();
  await client.send(new s3.CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());

const { start, send, complete, bytesOf, twoParts } = createUploads(() => client);

describe('an upload with a full-object CRC32', () => {
  it('becomes an object once the whole is confirmed', async () => {
    const { address, parts } = await twoParts('whole');
    const done = await complete(address, parts, {
      ChecksumType: 'FULL_OBJECT',
      ChecksumCRC32: crcOf(BIG, TAIL),
      MpuObjectSize: BIG.length + TAIL.length,
      IfNoneMatch: '*',
    });
    const digests = [BIG, TAIL].map((part) => createHash('md5').update(part).digest());
    const etag = `"${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-2"`;
    expect(done).toMatchObject({ ETag: etag, ChecksumCRC32: crcOf(BIG, TAIL), ChecksumType: 'FULL_OBJECT' });
    expect((await bytesOf('whole')).equals(Buffer.concat([BIG, TAIL]))).toBe(true);
    const head = await client.send(
      new s3.HeadObjectCommand({ Bucket, Key: 'whole', ChecksumMode: 'ENABLED' }),
    );
    expect(head).toMatchObject({ ETag: etag, ChecksumCRC32: crcOf(BIG, TAIL), ChecksumType: 'FULL_OBJECT' });
  });

  it('is refused for a wrong whole, and can be completed afterwards', async () => {
    const { address, parts } = await twoParts('wrong-whole');
    await expect(complete(address, parts, { ChecksumCRC32: crcOf(TAIL, BIG) })).rejects.toMatchObject({
      name: 'BadDigest',
    });
    await complete(address, parts, { ChecksumCRC32: crcOf(BIG, TAIL) });
  });

  it('is refused for a wrong size', async () => {
    const { address, parts } = await twoParts('wrong-size');
    await expect(complete(address, parts, { MpuObjectSize: 7 })).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: expect.stringContaining('x-amz-mp-object-size'),
    });
  });

  it('is refused for a wrong part, a missing part and a wrong order', async () => {
    const { address, parts } = await twoParts('wrong-part');
    const [first = {}, second = {}] = parts;
    const invalid = { name: 'InvalidPart', PartNumber: '2', UploadId: address.UploadId };
    await expect(complete(address, [first, { ...second, ETag: '"0"' }])).rejects.toMatchObject(invalid);
    await expect(complete(address, [first, { ...second, ChecksumCRC32: crcOf(BIG) }])).rejects.toMatchObject(
      invalid,
    );
    await expect(complete(address, [first, { ...second, PartNumber: 3 }])).rejects.toMatchObject({
      name: 'InvalidPart',
      PartNumber: '3',
    });
    await expect(complete(address, [second, first])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete(address, [first, first])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
    await expect(complete(address, [])).rejects.toMatchObject({ name: 'MalformedXML' });
  });

  it('is refused in another checksum mode', async () => {
    const { address, parts } = await twoParts('mode');
    await expect(complete(address, parts, { ChecksumType: 'COMPOSITE' })).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: expect.stringContaining('FULL_OBJECT checksum mode'),
    });
  });

  it('does not replace what stands', async () => {
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'standing', Body: 'stands' }));
    const { address, parts } = await twoParts('standing');
    await expect(complete(address, parts, { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    expect((await bytesOf('standing')).toString()).toBe('stands');
  });

  it('is gone once it was completed', async () => {
    const { address, parts } = await twoParts('gone');
    await complete(address, parts);
    const gone = { name: 'NoSuchUpload', $metadata: { httpStatusCode: 404 } };
    await expect(complete(address, parts)).rejects.toMatchObject(gone);
    await expect(client.send(new s3.ListPartsCommand(address))).rejects.toMatchObject(gone);
    await expect(send({ address, number: 3, body: TAIL })).rejects.toMatchObject(gone);
    expect(await readdir(join(fixture.folder, 's3', 'uploads'))).not.toContain(address.UploadId);
  });

  it('keeps the attributes that its start gave', async () => {
    const address = await start('attributes', {
      ...FULL,
      Tagging: 'landfall%3Arun=r7',
      Metadata: { a: 'b' },
    });
    const part = await send({ address, number: 1, body: TAIL });
    await complete(address, [part]);
    const { TagSet } = await client.send(new s3.GetObjectTaggingCommand({ Bucket, Key: 'attributes' }));
    expect(TagSet).toEqual([{ Key: 'landfall:run', Value: 'r7' }]);
    const { Metadata } = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'attributes' }));
    expect(Metadata).toEqual({ a: 'b' });
  });
});

describe('an upload with composite checksums', () => {
  it('gets the checksum of its parts’ checksums', async () => {
    const address = await start('composite', { ChecksumAlgorithm: 'SHA256' });
    const more = { ChecksumAlgorithm: 'SHA256' } as const;
    const first = await send({ address, number: 1, body: BIG, more });
    const second = await send({ address, number: 2, body: TAIL, more });
    const digests = [BIG, TAIL].map((part) => createHash('sha256').update(part).digest());
    const whole = createHash('sha256').update(Buffer.concat(digests)).digest('base64');
    const { ChecksumSHA256, ChecksumType } = await complete(address, [first, second]);
    expect(ChecksumSHA256).toBe(`${whole}-2`);
    expect(ChecksumType).toBe('COMPOSITE');
  });

  it('wants every part’s checksum when it is completed', async () => {
    const address = await start('composite-missing', { ChecksumAlgorithm: 'CRC32' });
    const { ETag = '' } = await send({ address, number: 1, body: TAIL });
    await expect(complete(address, [{ PartNumber: 1, ETag }])).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: expect.stringContaining('It was missing for part 1 in the request.'),
    });
  });
});

describe('checksum types', () => {
  it('of a part must be the upload’s', async () => {
    const address = await start('type', { ChecksumAlgorithm: 'SHA256' });
    await expect(send({ address, number: 1, body: TAIL })).rejects.toMatchObject({
      name: 'InvalidRequest',
      message: 'Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32',
    });
  });

  it('show at completion where the upload has none', async () => {
    const address = await start('untyped');
    const part = await send({ address, number: 1, body: TAIL });
    await expect(complete(address, [part])).rejects.toMatchObject({
      message: 'Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32',
    });
    const { ETag = '' } = part;
    await complete(address, [{ PartNumber: 1, ETag }]);
  });

  it('that do not go together are refused at the start', async () => {
    await expect(
      start('bad', { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' }),
    ).rejects.toMatchObject({
      message: 'The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.',
    });
    await expect(start('bad', { ChecksumType: 'FULL_OBJECT' })).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
    await expect(start('bad', { ChecksumAlgorithm: 'CRC64NVME' })).rejects.toMatchObject({
      name: 'NotImplemented',
    });
  });
});

it('has one of two racing completions win', async () => {
  const { address, parts } = await twoParts('racing');
  const results = await Promise.allSettled([complete(address, parts), complete(address, parts)]);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect((await bytesOf('racing')).equals(Buffer.concat([BIG, TAIL]))).toBe(true);
});
