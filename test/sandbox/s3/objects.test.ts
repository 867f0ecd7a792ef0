import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import * as s3 from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';

const Bucket = 'acme-mig';
let fixture: Fixture;
let client: s3.S3Client;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  client = fixture.s3();
  await client.send(new s3.CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());

function put(
  Key: string,
  Body: string | Uint8Array | Readable,
  more: Partial<s3.PutObjectCommandInput> = {},
) {
  return client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }));
}

async function get(Key: string, more: Partial<s3.GetObjectCommandInput> = {}): Promise<Buffer> {
  const { Body } = await client.send(new s3.GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

describe('an object', () => {
  it('comes back as it went in, whatever its key', async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 17);
    for (const key of ['web01.vmdk', "a b/ü+(1)*!'.raw", 'trailing/', '日本/..%2F..', 'x//y']) {
      const { ETag } = await put(key, bytes);
      expect(ETag).toBe(`"${createHash('md5').update(bytes).digest('hex')}"`);
      expect((await get(key)).equals(bytes)).toBe(true);
    }
  });

  it('may be empty', async () => {
    await put('empty', new Uint8Array());
    expect(await get('empty')).toHaveLength(0);
    expect((await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'empty' }))).ContentLength).toBe(0);
  });

  it('may be streamed in with a trailing checksum', async () => {
    const bytes = randomBytes(300_000);
    const Body = Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]);
    const { ChecksumCRC32 } = await put('streamed', Body, { ContentLength: bytes.length });
    expect(ChecksumCRC32).toBeDefined();
    expect((await get('streamed')).equals(bytes)).toBe(true);
  });

  it('keeps what was said about it, over a restart as well', async () => {
    await using own = await startFixture({ region: 'us-east-1' });
    await own.s3().send(new s3.CreateBucketCommand({ Bucket }));
    const Key = 'described';
    await own.s3().send(
      new s3.PutObjectCommand({
        Bucket,
        Key,
        Body: 'x',
        ContentType: 'application/x-raw',
        Metadata: { run: 'r1' },
        Tagging: 'landfall%3Arun=r1&landfall%3Amachine=web01',
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: 'alias/acme',
        StorageClass: 'STANDARD_IA',
      }),
    );
    await own.restart();
    const after = own.s3();
    const head = await after.send(new s3.HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    expect(head).toMatchObject({
      ContentType: 'application/x-raw',
      Metadata: { run: 'r1' },
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'alias/acme',
      StorageClass: 'STANDARD_IA',
      ChecksumType: 'FULL_OBJECT',
      ChecksumCRC32: expect.any(String),
    });
    const { TagSet } = await after.send(new s3.GetObjectTaggingCommand({ Bucket, Key }));
    expect(TagSet).toEqual([
      { Key: 'landfall:run', Value: 'r1' },
      { Key: 'landfall:machine', Value: 'web01' },
    ]);
  });

  it('that does not exist is named', async () => {
    await expect(get('none')).rejects.toMatchObject({ name: 'NoSuchKey', Key: 'none' });
    await expect(client.send(new s3.HeadObjectCommand({ Bucket, Key: 'none' }))).rejects.toMatchObject({
      name: 'NotFound',
    });
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'none' }));
  });

  it('has a key of at most 1,024 bytes', async () => {
    await put('k'.repeat(1024), 'x');
    await expect(put('k'.repeat(1025), 'x')).rejects.toMatchObject({ name: 'KeyTooLongError' });
  });

  it('leaves no bytes behind when it is replaced or removed', async () => {
    const data = () => readdir(join(fixture.folder, 's3', 'data'));
    const before = (await data()).length;
    await put('replaced', 'one');
    await put('replaced', 'two');
    expect((await get('replaced')).toString()).toBe('two');
    expect(await data()).toHaveLength(before + 1);
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'replaced' }));
    expect(await data()).toHaveLength(before);
  });
});

describe('ranges', () => {
  it('give the bytes asked for', async () => {
    await put('ranged', '0123456789');
    expect((await get('ranged', { Range: 'bytes=2-4' })).toString()).toBe('234');
    expect((await get('ranged', { Range: 'bytes=7-' })).toString()).toBe('789');
    expect((await get('ranged', { Range: 'bytes=-2' })).toString()).toBe('89');
    expect((await get('ranged', { Range: 'bytes=8-99' })).toString()).toBe('89');
    const { ContentRange } = await client.send(
      new s3.GetObjectCommand({ Bucket, Key: 'ranged', Range: 'bytes=2-4' }),
    );
    expect(ContentRange).toBe('bytes 2-4/10');
  });

  it('beyond the end are refused', async () => {
    await put('ranged', '0123456789');
    await expect(get('ranged', { Range: 'bytes=10-' })).rejects.toMatchObject({
      name: 'InvalidRange',
      ActualObjectSize: '10',
    });
  });
});

describe('checksums', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('base64');

  it('of each kind are verified and kept', async () => {
    const { ChecksumSHA256 } = await put('sum', 'abc', { ChecksumSHA256: sha256('abc') });
    expect(ChecksumSHA256).toBe(sha256('abc'));
    const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'sum', ChecksumMode: 'ENABLED' }));
    expect(head.ChecksumSHA256).toBe(sha256('abc'));
  });

  it('that are wrong keep the object out', async () => {
    await expect(put('bad', 'abc', { ChecksumSHA256: sha256('abd') })).rejects.toMatchObject({
      name: 'BadDigest',
    });
    await expect(put('bad', 'abc', { ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({
      name: 'BadDigest',
      message: 'The CRC32 you specified did not match the calculated checksum.',
    });
    await expect(get('bad')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });

  it('that are no checksums are refused', async () => {
    await expect(put('bad', 'abc', { ChecksumSHA256: 'AAAA' })).rejects.toMatchObject({
      name: 'InvalidRequest',
    });
  });

  it('that the sandbox cannot compute are refused, not ignored', async () => {
    for (const ChecksumAlgorithm of ['CRC32C', 'CRC64NVME'] as const) {
      await expect(put('other', 'abc', { ChecksumAlgorithm })).rejects.toMatchObject({
        name: 'NotImplemented',
      });
    }
  });
});

describe('conditions', () => {
  it('keep a write from replacing', async () => {
    await put('once', 'first', { IfNoneMatch: '*' });
    await expect(put('once', 'second', { IfNoneMatch: '*' })).rejects.toMatchObject({
      name: 'PreconditionFailed',
      $metadata: { httpStatusCode: 412 },
    });
    expect((await get('once')).toString()).toBe('first');
  });

  it('let one of two racing writes win', async () => {
    const results = await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((text) => put('race', text, { IfNoneMatch: '*' })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('replace only what was seen', async () => {
    const { ETag = '' } = await put('seen', 'one');
    await put('seen', 'two', { IfMatch: ETag });
    await expect(put('seen', 'three', { IfMatch: ETag })).rejects.toMatchObject({
      name: 'PreconditionFailed',
    });
    await expect(get('seen', { IfMatch: ETag })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  });
});

describe('tags', () => {
  it('can be changed and removed', async () => {
    await put('tagged', 'x');
    const TagSet = [{ Key: 'landfall:run', Value: 'a & <b>' }];
    const put2 = (Tagging: s3.Tagging) =>
      client.send(new s3.PutObjectTaggingCommand({ Bucket, Key: 'tagged', Tagging }));
    await expect(put2({ TagSet })).rejects.toMatchObject({ name: 'InvalidTag' });
    const good = [{ Key: 'landfall:run', Value: 'r-1 + @x' }];
    await put2({ TagSet: good });
    const read = () => client.send(new s3.GetObjectTaggingCommand({ Bucket, Key: 'tagged' }));
    expect((await read()).TagSet).toEqual(good);
    await client.send(new s3.DeleteObjectTaggingCommand({ Bucket, Key: 'tagged' }));
    expect((await read()).TagSet ?? []).toEqual([]);
  });

  it('are at most ten, each once', async () => {
    const tags = Array.from({ length: 11 }, (_, index) => `t${index}=v`).join('&');
    await expect(put('tags', 'x', { Tagging: tags })).rejects.toMatchObject({ name: 'BadRequest' });
    await expect(put('tags', 'x', { Tagging: 'a=1&a=2' })).rejects.toMatchObject({ name: 'InvalidTag' });
  });
});

describe('listing', () => {
  beforeAll(async () => {
    await client.send(new s3.CreateBucketCommand({ Bucket: 'acme-list' }));
    for (const Key of ['a/1', 'a/2', 'b', 'c/1', 'c/d/2', 'Z', 'ü', '\u{1F600}']) {
      await client.send(new s3.PutObjectCommand({ Bucket: 'acme-list', Key, Body: Key }));
    }
  });
  const list = (more: Partial<s3.ListObjectsV2CommandInput> = {}) =>
    client.send(new s3.ListObjectsV2Command({ Bucket: 'acme-list', ...more }));
  const keys = (answer: s3.ListObjectsV2CommandOutput) => answer.Contents?.map(({ Key }) => Key) ?? [];

  it('is in the order of UTF-8 bytes', async () => {
    expect(keys(await list())).toEqual(['Z', 'a/1', 'a/2', 'b', 'c/1', 'c/d/2', 'ü', '\u{1F600}']);
  });

  it('takes prefixes and folds at a delimiter', async () => {
    expect(keys(await list({ Prefix: 'c/' }))).toEqual(['c/1', 'c/d/2']);
    const folded = await list({ Delimiter: '/' });
    expect(keys(folded)).toEqual(['Z', 'b', 'ü', '\u{1F600}']);
    expect(folded.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['a/', 'c/']);
  });

  it('comes in pages that miss and repeat nothing', async () => {
    const seen: (string | undefined)[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await list({
        MaxKeys: 3,
        ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
      });
      seen.push(...keys(page));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(seen).toEqual(keys(await list()));
    await expect(list({ ContinuationToken: 'forged' })).rejects.toMatchObject({ name: 'InvalidArgument' });
  });

  it('of keys that XML cannot hold is percent-encoded on demand', async () => {
    const Key = 'line\u0001feed & <tag>';
    await put(Key, 'x');
    const { Contents } = await client.send(
      new s3.ListObjectsV2Command({ Bucket, Prefix: 'line', EncodingType: 'url' }),
    );
    expect(Contents?.[0]?.Key).toBe('line%01feed+%26+%3Ctag%3E');
  });
});

it('removes many objects at once', async () => {
  await put('many/1', 'x');
  await put('many/2', 'x');
  const { Deleted } = await client.send(
    new s3.DeleteObjectsCommand({
      Bucket,
      Delete: { Objects: [{ Key: 'many/1' }, { Key: 'many/2' }, { Key: 'many/none' }] },
    }),
  );
  expect(Deleted).toHaveLength(3);
  const { KeyCount } = await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix: 'many/' }));
  expect(KeyCount).toBe(0);
});
