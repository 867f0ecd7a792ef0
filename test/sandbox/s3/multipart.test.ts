import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as s3 from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';
import { BIG, Bucket, crcOf, createUploads, FULL, MIB, TAIL } from './part-uploads.ts';

let fixture: Fixture;
let client: s3.S3Client;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  client = fixture.s3();
  await client.send(new s3.CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());
afterEach(() => fixture.sandbox.faults.clear());

const { start, send, complete, bytesOf, twoParts } = createUploads(() => client);

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
