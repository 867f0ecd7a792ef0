import { EBSClient } from '@aws-sdk/client-ebs';
import { CreateRoleCommand, PutRolePolicyCommand, SimulatePrincipalPolicyCommand } from '@aws-sdk/client-iam';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createRequestRates } from '../../../src/sandbox/ebs/request-rates.ts';
import { type Fixture, startFixture } from '../server-fixture.ts';
import { block, complete, FAST, put, start } from './blocks.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1', limits: FAST });
});
afterAll(() => fixture[Symbol.asyncDispose]());
afterEach(() => fixture.sandbox.faults.clear());

describe('injected faults', () => {
  it('throttle, in EBS direct’s words', async () => {
    const client = fixture.ebs();
    const id = await start(client);
    const error = { status: 400, code: 'RequestThrottledException', reason: 'RESOURCE_LEVEL_THROTTLE' };
    fixture.sandbox.faults.add({ service: 'ebs', action: 'PutSnapshotBlock', error });
    await expect(client.send(put(id, 0, block(1)))).rejects.toMatchObject({
      name: 'RequestThrottledException',
      Reason: 'RESOURCE_LEVEL_THROTTLE',
    });
    await client.send(put(id, 0, block(1)));
  });

  it('deny', async () => {
    const error = { status: 403, code: 'AccessDeniedException', reason: 'UNAUTHORIZED_ACCOUNT' };
    fixture.sandbox.faults.add({ service: 'ebs', error });
    await expect(start(fixture.ebs())).rejects.toMatchObject({
      name: 'AccessDeniedException',
      $metadata: { httpStatusCode: 403 },
    });
  });

  it('fail a share of the requests, evenly', async () => {
    const client = fixture.ebs();
    const id = await start(client);
    const error = { status: 500, code: 'InternalServerException' };
    fixture.sandbox.faults.add({ service: 'ebs', action: 'PutSnapshotBlock', rate: 0.25, error });
    const ended: string[] = [];
    for (let index = 0; index < 8; index += 1) {
      ended.push(
        await client.send(put(id, index, block(1))).then(
          () => 'ok',
          (caught) => caught.name,
        ),
      );
    }
    const four = ['ok', 'ok', 'ok', 'InternalServerException'];
    expect(ended).toEqual([...four, ...four]);
  });

  it('cut the connection within a block, which is not stored', async () => {
    const client = fixture.ebs();
    const id = await start(client);
    fixture.sandbox.faults.add({ service: 'ebs', action: 'PutSnapshotBlock', dropAfterBytes: 100_000 });
    await expect(client.send(put(id, 0, block(1)))).rejects.toMatchObject({
      code: expect.stringMatching(/ECONNRESET|EPIPE/),
    });
    expect(fixture.sandbox.requests.storedBlocks(id)).toEqual(new Map());
    await client.send(complete(id, 0));
  });

  it('store a block and lose the answer', async () => {
    const client = fixture.ebs();
    const id = await start(client);
    fixture.sandbox.faults.add({ service: 'ebs', action: 'PutSnapshotBlock', dropAnswer: true });
    await expect(client.send(put(id, 0, block(1)))).rejects.toMatchObject({ code: 'ECONNRESET' });
    await client.send(complete(id, 1));
  });
});

describe('quotas', () => {
  it('throttle beyond so many requests a second', async () => {
    await using own = await startFixture({
      limits: { ...FAST, ebsRequestsPerSecond: { PutSnapshotBlock: 2 } },
    });
    const client = own.ebs();
    const id = await start(client);
    const sent = await Promise.allSettled([0, 1, 2, 3].map((index) => client.send(put(id, index, block(1)))));
    const refused = sent.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(1);
    expect(refused[0]).toMatchObject({
      reason: { name: 'RequestThrottledException', Reason: 'ACCOUNT_THROTTLED' },
    });
  });

  it('are AWS’s where nothing is said, and fill again with time', () => {
    let now = 0;
    const rates = createRequestRates({}, () => now);
    for (let sent = 0; sent < 10; sent += 1) rates.admit('StartSnapshot');
    expect(() => rates.admit('StartSnapshot')).toThrow('StartSnapshot');
    now = 100;
    rates.admit('StartSnapshot');
    expect(() => rates.admit('StartSnapshot')).toThrow('StartSnapshot');
  });
});

describe('who asks', () => {
  it('is refused with a wrong secret, and in another region', async () => {
    const { url: endpoint, region, credentials } = fixture.sandbox;
    const wrong = { ...credentials, secretAccessKey: 'wrong' };
    for (const config of [
      { region, credentials: wrong },
      { region: 'eu-north-1', credentials },
    ]) {
      await expect(start(new EBSClient({ endpoint, maxAttempts: 1, ...config }))).rejects.toMatchObject({
        name: 'InvalidSignatureException',
        $metadata: { httpStatusCode: 403 },
      });
    }
    const stranger = { ...credentials, accessKeyId: 'AKIAUNKNOWNUNKNOWN00' };
    const client = new EBSClient({ endpoint, region, credentials: stranger, maxAttempts: 1 });
    await expect(start(client)).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
  });

  it('may leave a block out of the signature, not its checksum', async () => {
    const client = fixture.ebs();
    const id = await start(client);
    client.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] =
          'UNSIGNED-PAYLOAD';
        return next(args);
      },
      { step: 'build' },
    );
    await client.send(put(id, 0, block(1)));
    await expect(client.send(complete(id, 1))).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  });

  it('can ask IAM before', async () => {
    const iam = fixture.iam();
    const service = {
      Effect: 'Allow',
      Principal: { Service: 'ec2.amazonaws.com' },
      Action: 'sts:AssumeRole',
    };
    const trust = JSON.stringify({ Version: '2012-10-17', Statement: [service] });
    const { Role } = await iam.send(
      new CreateRoleCommand({ RoleName: 'writer', AssumeRolePolicyDocument: trust }),
    );
    const Resource = 'arn:aws:ec2:us-east-1::snapshot/*';
    const Statement = [{ Effect: 'Allow', Action: ['ebs:StartSnapshot', 'ebs:Put*'], Resource }];
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await iam.send(new PutRolePolicyCommand({ RoleName: 'writer', PolicyName: 'write', PolicyDocument }));
    const { EvaluationResults = [] } = await iam.send(
      new SimulatePrincipalPolicyCommand({
        PolicySourceArn: Role?.Arn,
        ActionNames: ['ebs:StartSnapshot', 'ebs:PutSnapshotBlock', 'ebs:GetSnapshotBlock'],
        ResourceArns: ['arn:aws:ec2:us-east-1::snapshot/snap-1'],
      }),
    );
    expect(EvaluationResults.map(({ EvalDecision }) => EvalDecision)).toEqual([
      'allowed',
      'allowed',
      'implicitDeny',
    ]);
  });
});
