import * as iam from '@aws-sdk/client-iam';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seedDemo } from '../../src/sandbox/seed.ts';
import { type Fixture, startFixture } from './server-fixture.ts';

let fixture: Fixture;
let client: iam.IAMClient;

beforeAll(async () => {
  fixture = await startFixture();
  client = fixture.iam();
  await seedDemo(fixture.sandbox);
});
afterAll(() => fixture[Symbol.asyncDispose]());

const trust = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' }],
});

function policy(...statements: Record<string, unknown>[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

async function makeRole(RoleName: string, document?: string): Promise<string> {
  const { Role } = await client.send(
    new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust }),
  );
  if (document !== undefined) {
    await client.send(
      new iam.PutRolePolicyCommand({ RoleName, PolicyName: 'own', PolicyDocument: document }),
    );
  }
  return Role?.Arn ?? '';
}

async function decisions(arn: string, actions: string[], resource: string): Promise<(string | undefined)[]> {
  const { EvaluationResults = [] } = await client.send(
    new iam.SimulatePrincipalPolicyCommand({
      PolicySourceArn: arn,
      ActionNames: actions,
      ResourceArns: [resource],
    }),
  );
  return EvaluationResults.map(({ EvalDecision }) => EvalDecision);
}

describe('roles', () => {
  it('are made, shown and kept over a restart', async () => {
    await using own = await startFixture();
    await own.iam().send(
      new iam.CreateRoleCommand({
        RoleName: 'web',
        Path: '/apps/',
        AssumeRolePolicyDocument: trust,
        Tags: [{ Key: 'a', Value: 'b' }],
      }),
    );
    await own.restart();
    const { Role } = await own.iam().send(new iam.GetRoleCommand({ RoleName: 'web' }));
    expect(Role).toMatchObject({
      Arn: 'arn:aws:iam::123456789012:role/apps/web',
      Tags: [{ Key: 'a', Value: 'b' }],
    });
    expect(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).toBe(trust);
  });

  it('that do not exist are named', async () => {
    await expect(client.send(new iam.GetRoleCommand({ RoleName: 'ghost' }))).rejects.toMatchObject({
      name: 'NoSuchEntityException',
      message: 'The role with name ghost cannot be found.',
    });
    await expect(
      client.send(new iam.GetRolePolicyCommand({ RoleName: 'vmimport', PolicyName: 'ghost' })),
    ).rejects.toMatchObject({ name: 'NoSuchEntityException' });
  });

  it('are not made twice', async () => {
    await makeRole('twice');
    await expect(makeRole('twice')).rejects.toMatchObject({ name: 'EntityAlreadyExistsException' });
  });

  it('are not removed while they have policies', async () => {
    await makeRole('busy', policy({ Effect: 'Allow', Action: 's3:*', Resource: '*' }));
    const remove = () => client.send(new iam.DeleteRoleCommand({ RoleName: 'busy' }));
    await expect(remove()).rejects.toMatchObject({ name: 'DeleteConflictException' });
    await client.send(new iam.DeleteRolePolicyCommand({ RoleName: 'busy', PolicyName: 'own' }));
    await remove();
    await expect(client.send(new iam.GetRoleCommand({ RoleName: 'busy' }))).rejects.toThrow();
  });

  it('refuse documents that are none', async () => {
    for (const PolicyDocument of ['{', '{}', policy({ Effect: 'Maybe', Action: 's3:*', Resource: '*' })]) {
      await expect(
        client.send(
          new iam.PutRolePolicyCommand({ RoleName: 'vmimport', PolicyName: 'bad', PolicyDocument }),
        ),
      ).rejects.toMatchObject({ name: 'MalformedPolicyDocumentException' });
    }
  });

  it('take AWS’s own policies, and only those that exist', async () => {
    const RoleName = 'reader';
    const arn = await makeRole(RoleName);
    const PolicyArn = 'arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess';
    await client.send(new iam.AttachRolePolicyCommand({ RoleName, PolicyArn }));
    const listed = await client.send(new iam.ListAttachedRolePoliciesCommand({ RoleName }));
    expect(listed.AttachedPolicies).toEqual([{ PolicyName: 'AmazonS3ReadOnlyAccess', PolicyArn }]);
    expect(await decisions(arn, ['s3:GetObject', 's3:PutObject'], 'arn:aws:s3:::a/b')).toEqual([
      'allowed',
      'implicitDeny',
    ]);
    await expect(
      client.send(new iam.AttachRolePolicyCommand({ RoleName, PolicyArn: `${PolicyArn}X` })),
    ).rejects.toMatchObject({ name: 'NoSuchEntityException' });
  });

  it('come in pages', async () => {
    const first = await client.send(new iam.ListRolesCommand({ MaxItems: 1 }));
    expect(first).toMatchObject({ IsTruncated: true, Roles: [expect.anything()] });
    const rest = await client.send(new iam.ListRolesCommand({ Marker: first.Marker }));
    const names = [...(first.Roles ?? []), ...(rest.Roles ?? [])].map(({ RoleName }) => RoleName);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('vmimport');
  });
});

describe('policies', () => {
  it('match wildcards, and actions without regard to case', async () => {
    const arn = await makeRole(
      'wild',
      policy({ Effect: 'Allow', Action: ['s3:get*'], Resource: 'arn:aws:s3:::acme-?/web*' }),
    );
    expect(await decisions(arn, ['s3:GetObject'], 'arn:aws:s3:::acme-1/web01.vmdk')).toEqual(['allowed']);
    expect(await decisions(arn, ['s3:GetObject'], 'arn:aws:s3:::acme-12/web01')).toEqual(['implicitDeny']);
    expect(await decisions(arn, ['s3:PutObject'], 'arn:aws:s3:::acme-1/web01')).toEqual(['implicitDeny']);
  });

  it('let a deny win', async () => {
    const arn = await makeRole(
      'denied',
      policy(
        { Effect: 'Allow', Action: '*', Resource: '*' },
        { Effect: 'Deny', Action: 's3:DeleteObject', Resource: '*' },
      ),
    );
    expect(await decisions(arn, ['s3:DeleteObject', 's3:GetObject'], 'arn:aws:s3:::a/b')).toEqual([
      'explicitDeny',
      'allowed',
    ]);
  });

  it('never allow by a condition that is not understood', async () => {
    const Condition = { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } };
    const arn = await makeRole(
      'conditional',
      policy({ Effect: 'Allow', Action: '*', Resource: '*', Condition }),
    );
    expect(await decisions(arn, ['s3:GetObject'], '*')).toEqual(['implicitDeny']);
  });

  it('are settled for the account’s own user, and unknown for a stranger', async () => {
    const user = 'arn:aws:iam::123456789012:user/landfall';
    expect(await decisions(user, ['ec2:ImportSnapshot'], '*')).toEqual(['allowed']);
    await expect(decisions(`${user}2`, ['s3:GetObject'], '*')).rejects.toMatchObject({
      name: 'NoSuchEntityException',
    });
  });
});

describe('instance profiles', () => {
  it('carry one role', async () => {
    const InstanceProfileName = 'web';
    await makeRole('carried');
    await makeRole('other');
    await client.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName }));
    const add = (RoleName: string) =>
      client.send(new iam.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName }));
    await expect(add('ghost')).rejects.toMatchObject({ name: 'NoSuchEntityException' });
    await add('carried');
    await expect(add('other')).rejects.toMatchObject({ name: 'LimitExceededException' });
    const { InstanceProfile } = await client.send(new iam.GetInstanceProfileCommand({ InstanceProfileName }));
    expect(InstanceProfile?.Roles?.map(({ RoleName }) => RoleName)).toEqual(['carried']);
    await expect(client.send(new iam.DeleteRoleCommand({ RoleName: 'carried' }))).rejects.toMatchObject({
      name: 'DeleteConflictException',
    });
  });
});

describe('the seeded role vmimport', () => {
  it('may be seeded again', async () => {
    await seedDemo(fixture.sandbox);
    const { PolicyNames } = await client.send(new iam.ListRolePoliciesCommand({ RoleName: 'vmimport' }));
    expect(PolicyNames).toEqual(['vmimport']);
  });

  it('may read the demo bucket, and no other', async () => {
    const arn = 'arn:aws:iam::123456789012:role/vmimport';
    expect(await decisions(arn, ['s3:GetObject'], 'arn:aws:s3:::landfall-demo/a.vmdk')).toEqual(['allowed']);
    expect(await decisions(arn, ['s3:GetObject'], 'arn:aws:s3:::other/a.vmdk')).toEqual(['implicitDeny']);
  });
});
