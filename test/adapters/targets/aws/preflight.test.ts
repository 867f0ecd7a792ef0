import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { trustsImporter } from '../../../../adapters/targets/aws/preflight-account.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Target } from '../../../../src/domain/ports.ts';
import { plannedWith } from '../machines.ts';
import { openSandboxGround, type SandboxGround } from './sandbox-ground.ts';

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
        remedy: expect.stringContaining('landfall doctor'),
      });
    } finally {
      process.env.AWS_SECRET_ACCESS_KEY = secret;
    }
  });

  test('of a cloud that does not answer fails within seconds', async () => {
    const findings = await targetWith({ endpoint: 'http://127.0.0.1:9' }).preflight([], signal);
    expect(findings).toMatchObject([{ level: 'fail', remedy: expect.stringContaining('network') }]);
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
