import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { DescribeInstancesCommand, EC2Client } from '@aws-sdk/client-ec2';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { asAwsError, ask, askUnless, awsCodeOf } from '../../../../adapters/targets/aws/errors.ts';
import { LandfallError } from '../../../../src/domain/errors.ts';

const CALL = {
  doing: 'Uploading web01 disk 0',
  action: 's3:PutObject',
  resource: 's3://acme-mig/web01.vmdk',
};

function awsError(name: string, { message = 'said AWS', status = 400 } = {}): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status, requestId: 'R1' } });
}

describe('asAwsError', () => {
  test.each([
    ['AccessDenied', 'target-denied', false],
    ['UnauthorizedOperation', 'target-denied', false],
    ['ExpiredToken', 'target-denied', false],
    ['RequestExpired', 'target-denied', false],
    ['CredentialsProviderError', 'target-denied', true],
    ['InvalidIPAddress.InUse', 'target-refused', true],
    ['ConcurrentTagAccess', 'target-unavailable', true],
    ['InvalidSnapshot.InUse', 'target-unavailable', true],
    ['InsufficientHostCapacity', 'target-unavailable', true],
    ['ServerInternal', 'target-unavailable', true],
    ['ResourceNotFoundException', 'target-missing', false],
    ['RequestThrottledException', 'target-unavailable', true],
    ['ConcurrentLimitExceededException', 'target-unavailable', true],
    ['ServiceQuotaExceededException', 'target-limit', true],
    ['InvalidClientTokenId', 'target-denied', false],
    ['NoSuchBucket', 'target-missing', false],
    ['InvalidSubnetID.NotFound', 'target-missing', false],
    ['PermanentRedirect', 'target-refused', false],
    ['InvalidParameterValue', 'target-refused', false],
    ['InstanceLimitExceeded', 'target-limit', true],
    ['VcpuLimitExceeded', 'target-limit', true],
    ['ResourceLimitExceeded', 'target-limit', true],
    ['RequestLimitExceeded', 'target-unavailable', true],
    ['SlowDown', 'target-unavailable', true],
    ['InsufficientInstanceCapacity', 'target-unavailable', true],
    ['ECONNREFUSED', 'target-unavailable', true],
    ['TimeoutError', 'target-unavailable', true],
    ['AbortError', 'cancelled', false],
  ])('%s is %s', (name, code, retryable) => {
    const error = asAwsError(CALL, awsError(name));
    expect([error.code, error.retryable]).toEqual([code, retryable]);
  });

  test('an unknown code with a 5xx status may be tried again', () => {
    expect(asAwsError(CALL, awsError('Weird', { status: 502 })).retryable).toBe(true);
  });

  test('a denial names the action, the resource and what to grant', () => {
    const { message, context } = asAwsError(CALL, awsError('AccessDenied', { message: 'Access Denied' }));
    expect(message).toBe(
      'Uploading web01 disk 0 (s3:PutObject on s3://acme-mig/web01.vmdk) failed: AccessDenied: Access Denied. ' +
        'Grant s3:PutObject on s3://acme-mig/web01.vmdk to the identity of Landfall on ' +
        `${hostname()} (\`aws sts get-caller-identity\` there).`,
    );
    expect(context).toMatchObject({ awsCode: 'AccessDenied', requestId: 'R1' });
  });

  test('a denial of somebody whom AWS names says that it is them', () => {
    const said = 'User: arn:aws:iam::111122223333:user/mover is not authorized to perform: s3:PutObject';
    const { message } = asAwsError(CALL, awsError('AccessDenied', { message: said }));
    expect(message).toMatch(/Grant s3:PutObject on \S+ to arn:aws:iam::111122223333:user\/mover\.$/);
  });

  test.each(['ExpiredToken', 'InvalidClientTokenId'])(
    '%s names the host whose credentials they are',
    (name) => {
      expect(asAwsError(CALL, awsError(name)).message).toContain(`credentials of Landfall on ${hostname()}`);
    },
  );

  test('says what an AggregateError holds, which says nothing itself', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' });
    const error = asAwsError(
      CALL,
      Object.assign(new AggregateError([refused], ''), { code: 'ECONNREFUSED' }),
    );
    expect(error.code).toBe('target-unavailable');
    expect(error.message).toContain('127.0.0.1:9');
  });

  test('leaves what was classified already as it is', () => {
    const error = new LandfallError({ code: 'lease-lost', message: 'gone' });
    expect(asAwsError(CALL, error)).toBe(error);
  });
});

describe('with the SDK over HTTP', () => {
  const credentials = { accessKeyId: 'AKIA', secretAccessKey: 'secret' };

  async function serve(answer: {
    status: number;
    body: string;
  }): Promise<{ endpoint: string } & AsyncDisposable> {
    const server = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(answer.status).end(answer.body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    return {
      endpoint: `http://127.0.0.1:${port}`,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  test("knows EC2's code from its XML, and asks for what was not found without an error", async () => {
    const body =
      '<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>no i-1</Message></Error></Errors><RequestID>R</RequestID></Response>';
    await using server = await serve({ status: 400, body });
    const ec2 = new EC2Client({
      region: 'us-east-1',
      endpoint: server.endpoint,
      credentials,
      maxAttempts: 1,
    });
    const send = () => ec2.send(new DescribeInstancesCommand({ InstanceIds: ['i-1'] }));
    await expect(askUnless(['InvalidInstanceID.NotFound'], CALL, send)).resolves.toBeNull();
    await expect(ask(CALL, send)).rejects.toMatchObject({
      code: 'target-missing',
      context: { awsCode: 'InvalidInstanceID.NotFound' },
    });
  });

  test.each([
    [403, 'Forbidden', 'target-denied'],
    [404, 'NotFound', 'target-missing'],
  ])('tells a HEAD answered %i, which has no body, by its status', async (status, awsCode, code) => {
    await using server = await serve({ status, body: '' });
    const s3 = new S3Client({
      region: 'us-east-1',
      endpoint: server.endpoint,
      credentials,
      maxAttempts: 1,
      forcePathStyle: true,
    });
    const error = await ask(CALL, () => s3.send(new HeadBucketCommand({ Bucket: 'b' }))).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code });
    expect(awsCodeOf(error)).toBe(awsCode);
  });

  test('a refused connection may be tried again', async () => {
    const server = await serve({ status: 200, body: '' });
    await server[Symbol.asyncDispose]();
    const ec2 = new EC2Client({
      region: 'us-east-1',
      endpoint: server.endpoint,
      credentials,
      maxAttempts: 1,
    });
    const send = () => ec2.send(new DescribeInstancesCommand({}));
    await expect(ask(CALL, send)).rejects.toMatchObject({ code: 'target-unavailable', retryable: true });
  });

  test('an aborted request is cancelled, not failed', async () => {
    const ec2 = new EC2Client({ region: 'us-east-1', endpoint: 'http://127.0.0.1:9', credentials });
    const send = () => ec2.send(new DescribeInstancesCommand({}), { abortSignal: AbortSignal.abort() });
    await expect(ask(CALL, send)).rejects.toMatchObject({ code: 'cancelled' });
  });
});
