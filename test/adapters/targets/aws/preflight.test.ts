import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkRole, trustsImporter } from '../../../../adapters/targets/aws/preflight-account.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Target } from '../../../../src/domain/ports.ts';
import { plannedWith } from '../machines.ts';
import { openSandboxGround, type SandboxGround } from './sandbox-ground.ts';
import { scriptAws } from './scripted-aws.ts';

let ground: SandboxGround;
let target: Target;

beforeAll(async () => {
  ground = await openSandboxGround();
  target = targetWith({});
}, 60_000);
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

describe('pre-flight', () => {
  const signal = AbortSignal.timeout(60_000);

  test('with a wrong secret says so once, and nothing else', async () => {
    const secret = process.env.AWS_SECRET_ACCESS_KEY;
    process.env.AWS_SECRET_ACCESS_KEY = 'wrong';
    try {
      const findings = await targetWith({}).preflight([plannedWith(ground.to)], signal);
      expect(findings).toHaveLength(1);
      expect(findings[0]).toMatchObject({
        level: 'fail',
        subject: 'credentials',
        remedy: expect.stringContaining('Give this shell valid AWS credentials'),
      });
    } finally {
      process.env.AWS_SECRET_ACCESS_KEY = secret;
    }
  });

  test('of a cloud that does not answer fails within seconds', async () => {
    const findings = await targetWith({ endpoint: 'http://127.0.0.1:9' }).preflight([], signal);
    expect(findings).toMatchObject([{ level: 'fail', remedy: expect.stringContaining('network') }]);
  });

  test('of a machine that no common type holds tells the largest', async () => {
    const findings = await target.preflight([plannedWith(ground.to, { cpus: 400 })], signal);
    expect(findings.filter(({ level }) => level === 'fail')).toMatchObject([
      { remedy: expect.stringContaining('r6i.32xlarge (128 cpus, 1024 GiB)') },
    ]);
  });

  test('finds two machines that want one address', async () => {
    const to = { ...ground.to, privateIp: '172.31.0.99' };
    const machines = ['a', 'b'].map((name) => plannedWith(to, { name }));
    const findings = await target.preflight(machines, signal);
    expect(findings.filter(({ level }) => level === 'fail').map(({ message }) => message)).toEqual([
      'a and b want it',
    ]);
  });

  test('finds a right that is denied before it is needed', async () => {
    const error = { status: 403, code: 'UnauthorizedOperation', message: 'You are not authorized.' };
    ground.sandbox.faults.add({ service: 'ec2', action: 'RegisterImage', error });
    const findings = await target.preflight([plannedWith(ground.to)], signal);
    expect(findings.filter(({ level }) => level === 'fail')).toMatchObject([
      { subject: 'right to ec2:RegisterImage', remedy: expect.stringContaining('Grant ec2:RegisterImage') },
    ]);
  });
});

describe('of a wave whose bucket is missing', () => {
  test('says so once, and takes no fault of the role from it', async () => {
    const options = { bucket: 'landfall-nowhere' };
    const findings = await targetWith(options).preflight(
      [plannedWith(ground.to)],
      AbortSignal.timeout(60_000),
    );
    expect(findings.filter(({ level }) => level !== 'ok')).toMatchObject([
      { level: 'fail', subject: 'bucket landfall-nowhere', message: 'there is no such bucket' },
    ]);
  });
});

describe('the policies of the role', () => {
  const trust = {
    Effect: 'Allow',
    Principal: { Service: 'vmie.amazonaws.com' },
    Action: 'sts:AssumeRole',
  };
  const findings = (result: JsonObject) => {
    const EvaluationResults = [{ EvalActionName: 's3:GetObject', ...result }];
    const aws = scriptAws({
      GetRole: () => ({
        Role: {
          Arn: 'arn:aws:iam::123456789012:role/vmimport',
          AssumeRolePolicyDocument: encodeURIComponent(JSON.stringify({ Statement: [trust] })),
        },
      }),
      SimulatePrincipalPolicy: () => ({ EvaluationResults }),
    });
    return checkRole(aws, { isBucketUsable: true, signal: new AbortController().signal });
  };

  test.each<[string, JsonObject, string]>([
    ['that allow', { EvalDecision: 'allowed' }, 'ok'],
    ['that do not allow', { EvalDecision: 'implicitDeny', MissingContextValues: [] }, 'fail'],
    [
      'whose conditions the simulation cannot know',
      { EvalDecision: 'implicitDeny', MissingContextValues: ['aws:SourceAccount'] },
      'warn',
    ],
    [
      'that deny whatever the conditions',
      { EvalDecision: 'explicitDeny', MissingContextValues: ['aws:SourceAccount'] },
      'fail',
    ],
  ])('%s', async (_, result, level) => {
    expect(await findings(result)).toMatchObject([{ level, subject: 'role vmimport' }]);
  });
});

describe('the trust policy of the role', () => {
  const trust = (statement: JsonObject): string =>
    encodeURIComponent(JSON.stringify({ Version: '2012-10-17', Statement: [statement] }));
  const good = {
    Effect: 'Allow',
    Principal: { Service: 'vmie.amazonaws.com' },
    Action: 'sts:AssumeRole',
    Condition: { StringEquals: { 'sts:Externalid': 'vmimport' } },
  };

  test.each<[string, JsonObject, boolean]>([
    ['as AWS documents it', good, true],
    [
      'with the key in other letters',
      { ...good, Condition: { StringEquals: { 'sts:ExternalId': 'vmimport' } } },
      true,
    ],
    [
      'with several services',
      { ...good, Principal: { Service: ['ec2.amazonaws.com', 'vmie.amazonaws.com'] } },
      true,
    ],
    ['of another service', { ...good, Principal: { Service: 'ec2.amazonaws.com' } }, false],
    ['of everybody in an account', { ...good, Principal: { AWS: 'arn:aws:iam::123456789012:root' } }, false],
    ['with another external id', { ...good, Condition: { StringEquals: { 'sts:Externalid': 'me' } } }, false],
    ['that denies', { ...good, Effect: 'Deny' }, false],
  ])('%s', (_, statement, trusts) => {
    expect(trustsImporter(trust(statement))).toBe(trusts);
  });
});

function targetWith(options: JsonObject): Target {
  const parsed = ground.adapter.options.parse({ ...ground.options, ...options });
  return ground.adapter.create(parsed, { waveFolder: '.', scratchFolder: '.', cacheFolder: '.' });
}
