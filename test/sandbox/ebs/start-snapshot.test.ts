import { randomUUID } from 'node:crypto';
import { StartSnapshotCommand, type StartSnapshotCommandInput } from '@aws-sdk/client-ebs';
import { DeleteSnapshotCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { type Fixture, startFixture } from '../server-fixture.ts';
import { block, describeSnapshot, FAST, makeSnapshot, start } from './blocks.ts';

const KEY = 'arn:aws:kms:us-east-1:123456789012:key/0a1b';
let fixture: Fixture;
let clients: { ebs: ReturnType<Fixture['ebs']>; ec2: ReturnType<Fixture['ec2']> };

beforeAll(async () => {
  fixture = await startFixture({ region: 'us-east-1', limits: FAST });
  clients = { ebs: fixture.ebs(), ec2: fixture.ec2() };
});
afterAll(() => fixture[Symbol.asyncDispose]());

const send = (input: Partial<StartSnapshotCommandInput>) =>
  clients.ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...input }));

it('answers what was started, and EC2 describes it', async () => {
  const answer = await send({
    VolumeSize: 3,
    Description: 'web01 disk 0',
    Encrypted: true,
    KmsKeyArn: KEY,
    Tags: [{ Key: 'landfall:run', Value: 'run-1' }],
    Timeout: 4320,
  });
  expect(answer).toMatchObject({
    SnapshotId: expect.stringMatching(/^snap-[0-9a-f]{17}$/),
    OwnerId: '123456789012',
    Status: 'pending',
    VolumeSize: 3,
    BlockSize: 524288,
    KmsKeyArn: KEY,
    Tags: [{ Key: 'landfall:run', Value: 'run-1' }],
    $metadata: { httpStatusCode: 201 },
  });
  expect(Math.abs(Date.now() - (answer.StartTime?.getTime() ?? 0))).toBeLessThan(60_000);
  expect(await describeSnapshot(clients.ec2, answer.SnapshotId ?? '')).toMatchObject({
    State: 'pending',
    Progress: '0%',
    VolumeSize: 3,
    Description: 'web01 disk 0',
    Encrypted: true,
    KmsKeyId: KEY,
    StartTime: answer.StartTime,
    Tags: [{ Key: 'landfall:run', Value: 'run-1' }],
  });
});

describe('a client token', () => {
  it('gets the same snapshot with the same parameters, also at once', async () => {
    const ClientToken = randomUUID();
    const ids = await Promise.all([start(clients.ebs, { ClientToken }), start(clients.ebs, { ClientToken })]);
    expect(ids[0]).toBe(ids[1]);
    expect(await start(clients.ebs, { ClientToken })).toBe(ids[0]);
  });

  it('conflicts with other parameters', async () => {
    const ClientToken = randomUUID();
    await start(clients.ebs, { ClientToken });
    await expect(send({ ClientToken, VolumeSize: 2 })).rejects.toMatchObject({
      name: 'ConflictException',
      $metadata: { httpStatusCode: 409 },
    });
  });

  it('answers with its snapshot when that is deleted, too', async () => {
    const ClientToken = randomUUID();
    const SnapshotId = await start(clients.ebs, { ClientToken });
    await clients.ec2.send(new DeleteSnapshotCommand({ SnapshotId }));
    expect(await start(clients.ebs, { ClientToken })).toBe(SnapshotId);
  });
});

describe('a parent', () => {
  it('hands its encryption on', async () => {
    const parent = await makeSnapshot(clients, new Map([[0, block(1)]]), { Encrypted: true, KmsKeyArn: KEY });
    const answer = await send({ ParentSnapshotId: parent });
    expect(answer).toMatchObject({ ParentSnapshotId: parent, KmsKeyArn: KEY });
    const pending = answer.SnapshotId ?? '';
    await expect(send({ ParentSnapshotId: pending })).rejects.toMatchObject({
      Reason: 'INVALID_SNAPSHOT_ID',
    });
  });

  it('may not be larger', async () => {
    const parent = await makeSnapshot(clients, new Map([[0, block(1)]]), { VolumeSize: 2 });
    await expect(send({ ParentSnapshotId: parent })).rejects.toMatchObject({ Reason: 'INVALID_VOLUME_SIZE' });
  });

  it('must exist', async () => {
    await expect(send({ ParentSnapshotId: 'snap-0123456789abcdef0' })).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      Reason: 'SNAPSHOT_NOT_FOUND',
      $metadata: { httpStatusCode: 404 },
    });
  });
});

test.each([
  ['a volume of nothing', { VolumeSize: 0 }, 'INVALID_VOLUME_SIZE'],
  ['a volume over 64 TiB', { VolumeSize: 65_537 }, 'INVALID_VOLUME_SIZE'],
  ['no size', { VolumeSize: undefined }, 'INVALID_VOLUME_SIZE'],
  ['a timeout under 10 minutes', { Timeout: 9 }, 'INVALID_PARAMETER_VALUE'],
  ['a timeout over three days', { Timeout: 4321 }, 'INVALID_PARAMETER_VALUE'],
  ['a parent that is no id', { ParentSnapshotId: 'vol-1' }, 'INVALID_SNAPSHOT_ID'],
  ['a parent and encryption', { ParentSnapshotId: 'snap-1', Encrypted: true }, 'INVALID_PARAMETER_VALUE'],
  ['a key without encryption', { KmsKeyArn: KEY }, 'INVALID_PARAMETER_VALUE'],
  ['a key that is no ARN', { Encrypted: true, KmsKeyArn: 'alias/x' }, 'INVALID_PARAMETER_VALUE'],
  ['a reserved tag', { Tags: [{ Key: 'aws:x', Value: '' }] }, 'INVALID_TAG'],
  ['a tag without a name', { Tags: [{ Key: '', Value: '' }] }, 'INVALID_TAG'],
  ['a tag given twice', { Tags: [{ Key: 'x' }, { Key: 'x' }] }, 'INVALID_TAG'],
  ['a long description', { Description: 'x'.repeat(256) }, 'INVALID_PARAMETER_VALUE'],
  ['a token with spaces', { ClientToken: 'a b' }, 'INVALID_PARAMETER_VALUE'],
])('refuses %s', async (_, input, Reason) => {
  await expect(send(input as Partial<StartSnapshotCommandInput>)).rejects.toMatchObject({
    name: 'ValidationException',
    Reason,
    message: expect.stringMatching(/./),
    $metadata: { httpStatusCode: 400 },
  });
});

it('refuses what it does not know', async () => {
  const client = fixture.ebs();
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: string; headers: Record<string, string> };
      request.body = JSON.stringify({ VolumeSize: 1, Colour: 'red' });
      request.headers['content-length'] = String(request.body.length);
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
  await expect(start(client)).rejects.toMatchObject({
    Reason: 'INVALID_PARAMETER_VALUE',
    message: 'The parameter Colour is not recognized.',
  });
});

it('refuses more pending snapshots than the quota', async () => {
  await using small = await startFixture({ limits: { ...FAST, pendingSnapshots: 2 } });
  const client = small.ebs();
  const first = await start(client);
  await start(client);
  await expect(start(client)).rejects.toMatchObject({
    name: 'ServiceQuotaExceededException',
    $metadata: { httpStatusCode: 402 },
  });
  await small.ec2().send(new DeleteSnapshotCommand({ SnapshotId: first }));
  await start(client);
});
