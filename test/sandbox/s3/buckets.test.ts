import { request } from 'node:http';
import * as s3 from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';
import { sign } from '../server-signer.ts';

let fixture: Fixture;
let client: s3.S3Client;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  client = fixture.s3();
});
afterAll(() => fixture[Symbol.asyncDispose]());

function create(Bucket: string, region?: string) {
  const location = { LocationConstraint: region as s3.BucketLocationConstraint };
  const more = region === undefined ? {} : { CreateBucketConfiguration: location };
  return client.send(new s3.CreateBucketCommand({ Bucket, ...more }));
}

it('makes, lists, finds and removes buckets', async () => {
  await create('acme-one');
  await create('acme-two');
  const { Buckets = [] } = await client.send(new s3.ListBucketsCommand({}));
  expect(Buckets.map(({ Name }) => Name)).toEqual(['acme-one', 'acme-two']);
  const head = await client.send(new s3.HeadBucketCommand({ Bucket: 'acme-one' }));
  expect(head.BucketRegion).toBe('us-east-1');
  for (const Bucket of ['acme-one', 'acme-two']) await client.send(new s3.DeleteBucketCommand({ Bucket }));
  await expect(client.send(new s3.HeadBucketCommand({ Bucket: 'acme-one' }))).rejects.toMatchObject({
    name: 'NotFound',
    $metadata: { httpStatusCode: 404 },
  });
});

it('names the bucket that does not exist', async () => {
  const list = client.send(new s3.ListObjectsV2Command({ Bucket: 'acme-none' }));
  await expect(list).rejects.toMatchObject({
    name: 'NoSuchBucket',
    message: 'The specified bucket does not exist',
    BucketName: 'acme-none',
    $metadata: { requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
  });
});

it('refuses names that are none', async () => {
  for (const name of ['AB', 'Upper-case', '-acme', '192.168.1.1', 'a..b']) {
    await expect(create(name)).rejects.toMatchObject({ name: 'InvalidBucketName' });
  }
});

it('forgives making one’s own bucket again in the classic region only', async () => {
  await create('acme-again');
  await create('acme-again');
  await create('acme-west', 'eu-west-1');
  await expect(create('acme-west', 'eu-west-1')).rejects.toMatchObject({
    name: 'BucketAlreadyOwnedByYou',
    $metadata: { httpStatusCode: 409 },
  });
});

it('tells where a bucket is, and sends who asks elsewhere away', async () => {
  const Bucket = 'acme-far';
  await create(Bucket, 'ap-south-1');
  const location = await client.send(new s3.GetBucketLocationCommand({ Bucket }));
  expect(location.LocationConstraint).toBe('ap-south-1');
  await expect(client.send(new s3.ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({
    name: 'PermanentRedirect',
    $metadata: { httpStatusCode: 301 },
    Endpoint: 'acme-far.s3.ap-south-1.amazonaws.com',
  });
  const near = fixture.s3({ region: 'ap-south-1' });
  expect((await near.send(new s3.HeadBucketCommand({ Bucket }))).BucketRegion).toBe('ap-south-1');
  await create('acme-near');
  const classic = await client.send(new s3.GetBucketLocationCommand({ Bucket: 'acme-near' }));
  expect(classic.LocationConstraint).toBeUndefined();
});

it('wants the constraint that fits the endpoint', async () => {
  await using west = await startFixture({ region: 'eu-west-1' });
  // The JavaScript SDK fills in what is left out: only a raw request can be without.
  const signed = sign(west.sandbox, { method: 'PUT', path: '/acme-constraint' });
  const bare = await fetch(signed.url, { method: 'PUT', headers: signed.headers });
  expect(await bare.text()).toContain('<Code>IllegalLocationConstraintException</Code>');
  const make = (region: string) =>
    west.s3().send(
      new s3.CreateBucketCommand({
        Bucket: 'acme-constraint',
        CreateBucketConfiguration: { LocationConstraint: region as s3.BucketLocationConstraint },
      }),
    );
  await expect(make('eu-west-3')).rejects.toMatchObject({ name: 'IllegalLocationConstraintException' });
  await expect(make('nowhere')).rejects.toMatchObject({ name: 'InvalidLocationConstraint' });
  await make('eu-west-1');
});

it('keeps a bucket that is not empty, and drops the open uploads of one that goes', async () => {
  const Bucket = 'acme-full';
  await create(Bucket);
  await client.send(new s3.PutObjectCommand({ Bucket, Key: 'a', Body: 'a' }));
  await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'open' }));
  const remove = () => client.send(new s3.DeleteBucketCommand({ Bucket }));
  await expect(remove()).rejects.toMatchObject({
    name: 'BucketNotEmpty',
    $metadata: { httpStatusCode: 409 },
  });
  await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'a' }));
  await remove();
  await create(Bucket);
  const { Uploads } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }));
  expect(Uploads).toBeUndefined();
});

it('checks the owner that the client expects', async () => {
  await create('acme-owned');
  const head = (ExpectedBucketOwner: string) =>
    client.send(new s3.GetBucketLocationCommand({ Bucket: 'acme-owned', ExpectedBucketOwner }));
  await head('123456789012');
  await expect(head('999999999999')).rejects.toMatchObject({ name: 'AccessDenied' });
});

it('tells the settings that pre-flight asks for', async () => {
  const Bucket = 'acme-settings';
  await create(Bucket);
  expect((await client.send(new s3.GetBucketVersioningCommand({ Bucket }))).Status).toBeUndefined();
  const encryption = await client.send(new s3.GetBucketEncryptionCommand({ Bucket }));
  const rule = encryption.ServerSideEncryptionConfiguration?.Rules?.[0];
  expect(rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).toBe('AES256');
  await expect(client.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket }))).rejects.toMatchObject({
    name: 'NoSuchLifecycleConfiguration',
  });
});

it('refuses sub-resources, parameters and headers it does not know', async () => {
  const Bucket = 'acme-strict';
  await create(Bucket);
  const refused = { name: 'NotImplemented', $metadata: { httpStatusCode: 501 } };
  await expect(client.send(new s3.GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(refused);
  await expect(client.send(new s3.ListObjectsCommand({ Bucket }))).rejects.toMatchObject(refused);
  await expect(
    client.send(new s3.CopyObjectCommand({ Bucket, Key: 'b', CopySource: `${Bucket}/a` })),
  ).rejects.toMatchObject(refused);
  await expect(
    client.send(new s3.PutObjectCommand({ Bucket, Key: 'b', SSECustomerAlgorithm: 'AES256', Body: 'x' })),
  ).rejects.toMatchObject(refused);
});

it('understands virtual-host addresses', async () => {
  const Bucket = 'acme-virtual';
  await create(Bucket);
  await client.send(new s3.PutObjectCommand({ Bucket, Key: 'a/b.txt', Body: 'virtual' }));
  const { sandbox } = fixture;
  const host = `${Bucket}.localhost:${new URL(sandbox.url).port}`;
  const get = (path: string) => {
    const { headers } = sign(sandbox, { method: 'GET', path, host });
    return getRaw(sandbox.url, path, headers);
  };
  expect(await get('/a/b.txt')).toBe('virtual');
  expect(await get('/?list-type=2')).toContain('<Key>a/b.txt</Key>');
});

function getRaw(url: string, path: string, headers: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
