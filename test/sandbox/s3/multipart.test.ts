import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import * as s3 from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';

const Bucket = 'acme-mig';
const MIB = 1024 * 1024;
const BIG = randomBytes(5 * MIB);
const TAIL = randomBytes(12_345);
const FULL = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;

let fixture: Fixture;
let client: s3.S3Client;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  client = fixture.s3();
  await client.send(new s3.CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());
afterEach(() => fixture.sandbox.faults.clear());

type Address = { Bucket: string; Key: string; UploadId: string };
type Completion = Partial<s3.CompleteMultipartUploadCommandInput>;

async function start(
  Key: string,
  more: Partial<s3.CreateMultipartUploadCommandInput> = {},
): Promise<Address> {
  const { UploadId = '' } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key, ...more }));
  return { Bucket, Key, UploadId };
}

async function send({
  address,
  number,
  body,
  more = {},
}: {
  address: Address;
  number: number;
  body: Uint8Array;
  more?: Partial<s3.UploadPartCommandInput>;
}): Promise<s3.CompletedPart> {
  const { ETag, ChecksumCRC32, ChecksumSHA256 } = await client.send(
    new s3.UploadPartCommand({
      ...address,
      PartNumber: number,
      Body: body,
      ChecksumAlgorithm: 'CRC32',
      ...more,
    }),
  );
  return {
    PartNumber: number,
    ...(ETag === undefined ? {} : { ETag }),
    ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }),
    ...(ChecksumSHA256 === undefined ? {} : { ChecksumSHA256 }),
  };
}

function complete(address: Address, Parts: s3.CompletedPart[], more: Completion = {}) {
  return client.send(
    new s3.CompleteMultipartUploadCommand({ ...address, MultipartUpload: { Parts }, ...more }),
  );
}

function crcOf(...pieces: Uint8Array[]): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(pieces.reduce((sum, piece) => crc32(piece, sum), 0));
  return bytes.toString('base64');
}

async function bytesOf(Key: string): Promise<Buffer> {
  const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** An upload of two parts, ready to be completed. */
async function twoParts(Key: string): Promise<{ address: Address; parts: s3.CompletedPart[] }> {
  const address = await start(Key, FULL);
  const second = await send({ address, number: 2, body: TAIL });
  const first = await send({ address, number: 1, body: BIG });
  return { address, parts: [first, second] };
}

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

describe('a part', () => {
  it('with a wrong checksum is not held', async () => {
    const address = await start('bad-part', FULL);
    const more = { ChecksumCRC32: crcOf(BIG) };
    await expect(send({ address, number: 1, body: TAIL, more })).rejects.toMatchObject({ name: 'BadDigest' });
    expect((await client.send(new s3.ListPartsCommand(address))).Parts).toBeUndefined();
  });

  it('below 5 MiB is too small unless it is the last', async () => {
    const address = await start('small', FULL);
    const first = await send({ address, number: 1, body: TAIL });
    const second = await send({ address, number: 2, body: TAIL });
    await expect(complete(address, [first, second])).rejects.toMatchObject({
      name: 'EntityTooSmall',
      PartNumber: '1',
      ProposedSize: String(TAIL.length),
      MinSizeAllowed: String(5 * MIB),
    });
  });

  it('is numbered from 1 to 10,000', async () => {
    const address = await start('numbers', FULL);
    await send({ address, number: 10_000, body: TAIL });
    for (const number of [0, 10_001]) {
      await expect(send({ address, number, body: TAIL })).rejects.toMatchObject({ name: 'InvalidArgument' });
    }
  });

  it('sent again replaces the first', async () => {
    const address = await start('again', FULL);
    await send({ address, number: 1, body: BIG });
    const part = await send({ address, number: 1, body: TAIL });
    const { Parts } = await client.send(new s3.ListPartsCommand(address));
    expect(Parts).toMatchObject([{ PartNumber: 1, Size: TAIL.length, ChecksumCRC32: crcOf(TAIL) }]);
    await complete(address, [part]);
    expect((await bytesOf('again')).equals(TAIL)).toBe(true);
  });

  it('cut off on the way is not held, and the other parts stay', async () => {
    const { address } = await twoParts('cut');
    fixture.sandbox.faults.add({
      service: 's3',
      action: 'UploadPart',
      partNumber: 3,
      dropAfterBytes: 2 * MIB,
    });
    await expect(send({ address, number: 3, body: BIG })).rejects.toThrow();
    const { Parts } = await client.send(new s3.ListPartsCommand(address));
    expect(Parts?.map(({ PartNumber }) => PartNumber)).toEqual([1, 2]);
    await expect.poll(() => readdir(join(fixture.folder, 's3', 'incoming'))).toEqual([]);
  });

  it('may be streamed with a trailing checksum', async () => {
    const address = await start('stream', FULL);
    const { ETag = '', ChecksumCRC32 = '' } = await client.send(
      new s3.UploadPartCommand({
        ...address,
        PartNumber: 1,
        Body: Readable.from([BIG.subarray(0, MIB), BIG.subarray(MIB)]),
        ContentLength: BIG.length,
        ChecksumAlgorithm: 'CRC32',
      }),
    );
    expect(ChecksumCRC32).toBe(crcOf(BIG));
    await complete(address, [{ PartNumber: 1, ETag, ChecksumCRC32 }]);
    expect((await bytesOf('stream')).equals(BIG)).toBe(true);
  });

  it('is counted each time it is stored', async () => {
    const { address } = await twoParts('counted');
    await send({ address, number: 2, body: TAIL });
    expect(fixture.sandbox.requests.storedParts(Bucket, 'counted')).toEqual(
      new Map([
        [1, 1],
        [2, 2],
      ]),
    );
  });
});

describe('what is held', () => {
  it('is listed in pages', async () => {
    const address = await start('pages', FULL);
    for (const number of [7, 3, 11, 5, 1]) await send({ address, number, body: TAIL });
    const first = await client.send(new s3.ListPartsCommand({ ...address, MaxParts: 2 }));
    expect(first.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([1, 3]);
    expect(first).toMatchObject({
      IsTruncated: true,
      NextPartNumberMarker: '3',
      ChecksumType: 'FULL_OBJECT',
    });
    const rest = await client.send(new s3.ListPartsCommand({ ...address, PartNumberMarker: '3' }));
    expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([5, 7, 11]);
    expect(rest).toMatchObject({ IsTruncated: false, MaxParts: 1000 });
  });

  it('survives a restart, and the upload can be completed then', async () => {
    await using own = await startFixture({ region: 'us-east-1' });
    await own.s3().send(new s3.CreateBucketCommand({ Bucket }));
    client = own.s3();
    try {
      const { address, parts } = await twoParts('survivor');
      await own.restart();
      client = own.s3();
      const { Parts } = await client.send(new s3.ListPartsCommand(address));
      expect(Parts).toMatchObject([
        { PartNumber: 1, Size: BIG.length, ChecksumCRC32: crcOf(BIG) },
        { PartNumber: 2, Size: TAIL.length, ChecksumCRC32: crcOf(TAIL) },
      ]);
      await complete(address, parts, { ChecksumCRC32: crcOf(BIG, TAIL) });
      await own.restart();
      client = own.s3();
      expect((await bytesOf('survivor')).equals(Buffer.concat([BIG, TAIL]))).toBe(true);
    } finally {
      client = fixture.s3();
    }
  });

  it('is dropped when the upload is aborted', async () => {
    const { address } = await twoParts('aborted');
    await client.send(new s3.AbortMultipartUploadCommand(address));
    await expect(client.send(new s3.AbortMultipartUploadCommand(address))).rejects.toMatchObject({
      name: 'NoSuchUpload',
    });
    expect(await readdir(join(fixture.folder, 's3', 'uploads'))).not.toContain(address.UploadId);
  });

  it('is of its own key only', async () => {
    const { address } = await twoParts('own-key');
    await expect(client.send(new s3.ListPartsCommand({ ...address, Key: 'other' }))).rejects.toMatchObject({
      name: 'NoSuchUpload',
    });
  });
});

describe('open uploads', () => {
  it('are found by prefix, in pages, in the order of keys and times', async () => {
    const second = await start('list/b');
    const first = await start('list/a');
    const third = await start('list/b');
    await start('other/c');
    const list = (more: Partial<s3.ListMultipartUploadsCommandInput> = {}) =>
      client.send(new s3.ListMultipartUploadsCommand({ Bucket, Prefix: 'list/', ...more }));
    const ids = [first, second, third].map(({ UploadId }) => UploadId);
    expect((await list()).Uploads?.map(({ UploadId }) => UploadId)).toEqual(ids);
    const page = await list({ MaxUploads: 2 });
    expect(page).toMatchObject({ IsTruncated: true, NextKeyMarker: 'list/b' });
    const { NextKeyMarker = '', NextUploadIdMarker = '' } = page;
    const rest = await list({ KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker });
    expect(rest.Uploads?.map(({ UploadId }) => UploadId)).toEqual([third.UploadId]);
  });
});

it('has one of two racing completions win', async () => {
  const { address, parts } = await twoParts('racing');
  const results = await Promise.allSettled([complete(address, parts), complete(address, parts)]);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect((await bytesOf('racing')).equals(Buffer.concat([BIG, TAIL]))).toBe(true);
});
