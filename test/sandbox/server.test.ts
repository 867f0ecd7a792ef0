import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DescribeRegionsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { ListRolesCommand } from '@aws-sdk/client-iam';
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startSandbox } from '../../src/sandbox/server.ts';
import { type Fixture, startFixture } from './server-fixture.ts';

const Bucket = 'acme-mig';
let fixture: Fixture;

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1' });
  await fixture.s3().send(new CreateBucketCommand({ Bucket }));
});
afterAll(() => fixture[Symbol.asyncDispose]());
afterEach(() => fixture.sandbox.faults.clear());

function withSecret(change: Partial<{ accessKeyId: string; secretAccessKey: string }>) {
  const { url: endpoint, region, credentials } = fixture.sandbox;
  return { endpoint, region, maxAttempts: 1, credentials: { ...credentials, ...change } };
}

describe('who asks', () => {
  it('is refused with an unknown access key, in each service’s own words', async () => {
    const config = withSecret({ accessKeyId: 'AKIAUNKNOWNUNKNOWN00' });
    await expect(new S3Client(config).send(new ListBucketsCommand({}))).rejects.toMatchObject({
      name: 'InvalidAccessKeyId',
      $metadata: { httpStatusCode: 403 },
    });
    await expect(new STSClient(config).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    });
    await expect(new EC2Client(config).send(new DescribeRegionsCommand({}))).rejects.toMatchObject({
      name: 'AuthFailure',
      message: 'AWS was not able to validate the provided access credentials',
      $metadata: { httpStatusCode: 401 },
    });
  });

  it('is refused with a wrong secret', async () => {
    const config = withSecret({ secretAccessKey: 'wrong' });
    await expect(new S3Client(config).send(new ListBucketsCommand({}))).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
    await expect(new STSClient(config).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
    await expect(new EC2Client(config).send(new DescribeRegionsCommand({}))).rejects.toMatchObject({
      name: 'AuthFailure',
    });
  });

  it('is refused without a signature', async () => {
    const plain = await fetch(`${fixture.sandbox.url}/${Bucket}/x`);
    expect(plain.status).toBe(403);
    expect(await plain.text()).toContain('<Code>AccessDenied</Code>');
    const form = new URLSearchParams({ Action: 'GetCallerIdentity', Version: '2011-06-15' });
    const posted = await fetch(fixture.sandbox.url, { method: 'POST', body: form });
    expect(posted.status).toBe(403);
    expect(await posted.text()).toContain('<Code>MissingAuthenticationToken</Code>');
  });

  it('is refused when its clock is off', async () => {
    const twentyMinutes = 20 * 60_000;
    const client = fixture.s3({ systemClockOffset: -twentyMinutes });
    await expect(client.send(new ListBucketsCommand({}))).rejects.toMatchObject({
      name: 'RequestTimeTooSkewed',
      $metadata: { httpStatusCode: 403 },
    });
  });

  it('is refused by EC2 for another region than the sandbox’s', async () => {
    const client = new EC2Client({ ...withSecret({}), region: 'eu-west-3' });
    await expect(client.send(new DescribeRegionsCommand({}))).rejects.toMatchObject({
      name: 'AuthFailure',
      message: expect.stringContaining("not 'eu-west-3'"),
    });
  });

  it('reaches all four services on one port', async () => {
    await fixture.s3().send(new ListBucketsCommand({}));
    await fixture.iam().send(new ListRolesCommand({}));
    expect((await fixture.sts().send(new GetCallerIdentityCommand({}))).Account).toBe('123456789012');
    const regions = await new EC2Client(withSecret({})).send(new DescribeRegionsCommand({}));
    expect(regions.Regions?.map(({ RegionName }) => RegionName)).toContain('us-east-1');
  });

  it('is told of a service that does not exist here', async () => {
    const authorization = `AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`;
    const headers = { authorization, 'x-amz-date': '20260101T000000Z' };
    const answer = await fetch(fixture.sandbox.url, { headers });
    expect(answer.status).toBe(501);
    expect(await answer.text()).toContain('no service named sqs');
  });
});

describe('faults', () => {
  it('answer with an error so many times, after so many were let pass', async () => {
    const { faults } = fixture.sandbox;
    faults.add({
      service: 's3',
      action: 'HeadBucket',
      skip: 1,
      times: 2,
      error: { status: 503, code: 'SlowDown' },
    });
    const client = fixture.s3();
    const head = () => client.send(new HeadBucketCommand({ Bucket }));
    await head();
    await expect(head()).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await expect(head()).rejects.toMatchObject({ $metadata: { httpStatusCode: 503 } });
    await head();
  });

  it('are outlived by the SDK’s own retries', async () => {
    fixture.sandbox.faults.add({ service: 's3', error: { status: 500, code: 'InternalError' } });
    await fixture.s3({ maxAttempts: 3 }).send(new ListBucketsCommand({}));
  });

  it('meet only the service and action they name', async () => {
    fixture.sandbox.faults.add({
      service: 'iam',
      action: 'ListRoles',
      error: { status: 403, code: 'AccessDenied', message: 'not you' },
    });
    await fixture.s3().send(new ListBucketsCommand({}));
    await expect(fixture.iam().send(new ListRolesCommand({}))).rejects.toMatchObject({
      name: 'AccessDenied',
      message: 'not you',
    });
  });

  it('cut a body off, and nothing of it is stored', async () => {
    fixture.sandbox.faults.add({ service: 's3', action: 'PutObject', dropAfterBytes: 100_000 });
    const put = new PutObjectCommand({ Bucket, Key: 'cut', Body: Buffer.alloc(1024 * 1024) });
    await expect(fixture.s3().send(put)).rejects.toThrow();
    await expect(fixture.s3().send(new GetObjectCommand({ Bucket, Key: 'cut' }))).rejects.toMatchObject({
      name: 'NoSuchKey',
    });
    await expect.poll(() => readdir(join(fixture.folder, 's3', 'incoming'))).toEqual([]);
  });

  it('lose an answer after the work was done', async () => {
    fixture.sandbox.faults.add({ service: 's3', action: 'PutObject', dropAnswer: true });
    const put = new PutObjectCommand({ Bucket, Key: 'lost', Body: 'kept' });
    await expect(fixture.s3().send(put)).rejects.toThrow();
    const got = await fixture.s3().send(new GetObjectCommand({ Bucket, Key: 'lost' }));
    expect(await got.Body?.transformToString()).toBe('kept');
  });

  it('delay an answer', async () => {
    fixture.sandbox.faults.add({ service: 'sts', delayMs: 200 });
    const start = performance.now();
    await fixture.sts().send(new GetCallerIdentityCommand({}));
    expect(performance.now() - start).toBeGreaterThanOrEqual(190);
  });

  it('reset a query service’s connection', async () => {
    fixture.sandbox.faults.add({ service: 'sts', dropAfterBytes: 0 });
    await expect(fixture.sts().send(new GetCallerIdentityCommand({}))).rejects.toThrow(
      /ECONNRESET|socket hang up/,
    );
  });
});

it('counts what it is asked and what it granted', async () => {
  const { requests, faults } = fixture.sandbox;
  requests.clear();
  faults.add({ service: 's3', action: 'ListBuckets', error: { status: 503, code: 'SlowDown' } });
  await expect(fixture.s3().send(new ListBucketsCommand({}))).rejects.toThrow();
  await fixture.s3().send(new ListBucketsCommand({}));
  expect(requests.received('s3', 'ListBuckets')).toBe(2);
  expect(requests.succeeded('s3', 'ListBuckets')).toBe(1);
  expect(requests.received('ec2', 'ImportSnapshot')).toBe(0);
});

it('keeps its key, its region and its buckets over a restart', async () => {
  await using own = await startFixture();
  const { region } = own.sandbox;
  // The SDK marks the very object with where it came from.
  const credentials = { ...own.sandbox.credentials };
  await own
    .s3()
    .send(
      new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: 'eu-central-1' } }),
    );
  await own.restart();
  expect({ ...own.sandbox.credentials }).toEqual(credentials);
  expect(own.sandbox.region).toBe(region);
  await own.s3().send(new HeadBucketCommand({ Bucket }));
});

it('refuses a folder that another sandbox uses', async () => {
  await expect(startSandbox({ folder: fixture.folder })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('another sandbox is using that folder'),
  });
});

it('refuses a folder of another region, naming both', async () => {
  await using own = await startFixture();
  await own.sandbox.stop();
  await expect(startSandbox({ folder: own.folder, region: 'eu-west-1' })).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/eu-west-1.*eu-central-1/),
  });
});

it('says which port is taken, and leaves the folder free', async () => {
  await using own = await startFixture();
  await own.sandbox.stop();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await expect(startSandbox({ folder: own.folder, port })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(new RegExp(`:${port} .*--port 0`)),
  });
  other.close();
  await own.restart();
});

it('stops while a client still sends', async () => {
  await using own = await startFixture();
  const { url } = own.sandbox;
  const body = new ReadableStream({ pull: () => new Promise(() => undefined) });
  const sending = fetch(`${url}/${Bucket}/x`, { method: 'PUT', body, duplex: 'half' } as RequestInit).catch(
    () => null,
  );
  await own.sandbox.stop();
  await sending;
  await expect(fetch(url)).rejects.toThrow();
});
