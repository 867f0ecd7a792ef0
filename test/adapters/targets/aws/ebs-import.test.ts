/** What becomes of disks that went up as snapshots, and what is checked before they do. */
import { describe, expect, test } from 'vitest';
import { importSnapshots } from '../../../../adapters/targets/aws/import-snapshot.ts';
import { preflight } from '../../../../adapters/targets/aws/preflight.ts';
import { policySourceOf } from '../../../../adapters/targets/aws/preflight-ebs.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Artifact } from '../../../../src/domain/landing.ts';
import type { Finding } from '../../../../src/domain/ports.ts';
import { createManualClock, createStepContext } from '../../../fakes/step-context.ts';
import { type MachineTraits, machineWith, plannedWith } from '../machines.ts';
import { awsError, noted, type Script, scriptAws } from './scripted-aws.ts';

const signal = AbortSignal.timeout(60_000);

describe('import of a disk that went up as a snapshot', () => {
  const request = { machine: machineWith(), to: {}, artifacts: [snapshotArtifact('0')] };

  test('starts no task and waits until AWS completed the snapshot', async () => {
    const context = createStepContext();
    await noted(context, 'snapshot:0', { state: 'done', ref: { snapshotId: 'snap-0' } });
    let state = 'pending';
    const aws = scriptAws({
      DescribeSnapshots: () => ({ Snapshots: [{ SnapshotId: 'snap-0', State: state, Progress: '57%' }] }),
    });
    await expect(importSnapshots(aws, request, context)).resolves.toMatchObject({
      kind: 'wait',
      note: 'disk 0: snapshot 57%',
    });
    state = 'completed';
    await expect(importSnapshots(aws, request, context)).resolves.toEqual({
      kind: 'done',
      value: { '0': 'snap-0' },
    });
    expect(new Set(aws.sent.map(({ name }) => name))).toEqual(new Set(['DescribeSnapshots']));
  });

  test.each<[string, Script[string]]>([
    [
      'failed at AWS',
      () => ({ Snapshots: [{ SnapshotId: 'snap-0', State: 'error', StateMessage: 'no key' }] }),
    ],
    ['is gone', () => awsError('InvalidSnapshot.NotFound')],
  ])('fails where the snapshot %s', async (_, answer) => {
    const clock = createManualClock();
    const context = createStepContext({ clock });
    await noted(context, 'snapshot:0', { state: 'done', ref: { snapshotId: 'snap-0' } });
    clock.advance(120_000);
    const imported = importSnapshots(scriptAws({ DescribeSnapshots: answer }), request, context);
    await expect(imported).rejects.toMatchObject({
      code: 'import-failed',
      retryable: false,
      message: expect.stringContaining('Discard the machine'),
    });
  });

  test('goes beside one that went through the bucket', async () => {
    const context = createStepContext();
    await noted(context, 'import-task:1', { state: 'done', ref: { snapshotId: 'snap-1' } });
    const aws = scriptAws({
      DescribeSnapshots: () => ({ Snapshots: [{ SnapshotId: 'snap-0', State: 'completed' }] }),
    });
    const artifacts = [
      ...request.artifacts,
      { disk: '1', kind: 's3-object', ref: {} } as unknown as Artifact,
    ];
    await expect(importSnapshots(aws, { ...request, artifacts }, context)).resolves.toEqual({
      kind: 'done',
      value: { '0': 'snap-0', '1': 'snap-1' },
    });
  });
});

describe('pre-flight of a wave by ebs-direct', () => {
  test('needs no bucket, no role and no right to import', async () => {
    const { findings, asked } = await check({ via: 'ebs-direct' });
    expect(failures(findings)).toEqual([]);
    expect(findings.map(({ message }) => message)).toContain('blocks may be written and read back');
    expect(asked).not.toContain('HeadBucket');
    expect(asked).not.toContain('GetRole');
    expect(asked).not.toContain('ImportSnapshot');
  });

  test('asks for a bucket where one machine goes another way', async () => {
    const to = { via: 'import-snapshot' };
    const { findings } = await check({ via: 'ebs-direct' }, { to });
    expect(failures(findings)).toEqual(['the target names none, but web01 would go through one']);
    const other = await check({ bucket: 'acme', via: 'import-snapshot' }, { to: { via: 'ebs-direct' } });
    expect(other.asked).not.toContain('HeadBucket');
  });

  test.each<[string, string[], string, Finding['level']]>([
    ['written', ['ebs:PutSnapshotBlock'], 'do not allow ebs:PutSnapshotBlock on arn:aws:ec2:', 'fail'],
    ['read back', ['ebs:GetSnapshotBlock'], 'cannot be read back', 'warn'],
  ])('finds that blocks may not be %s', async (_, denied, message, level) => {
    const { findings } = await check({ via: 'ebs-direct' }, { denied });
    expect(findings).toContainEqual(
      expect.objectContaining({ level, message: expect.stringContaining(message) }),
    );
  });

  test('cannot ask for the policies of every identity', async () => {
    const SimulatePrincipalPolicy = () => awsError('NoSuchEntity');
    const { findings } = await check({ via: 'ebs-direct' }, { script: { SimulatePrincipalPolicy } });
    expect(failures(findings)).toEqual([]);
    expect(findings.some(({ level, subject }) => level === 'warn' && subject === 'EBS direct')).toBe(true);
  });

  test('warns where the account has many snapshots under way', async () => {
    const DescribeSnapshots = () => ({ Snapshots: Array.from({ length: 100 }, () => ({})) });
    const { findings } = await check({ via: 'ebs-direct' }, { script: { DescribeSnapshots } });
    expect(findings).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('100 snapshots are under') }),
    );
  });

  test.each<[string, JsonObject, MachineTraits, string]>([
    ['a key that is no ARN', { kmsKey: 'alias/disks' }, {}, 'takes the ARN of a key only'],
    ['a disk over what a volume holds', { volumeType: 'gp2' }, disksOf(17), 'over the 16 TiB'],
    ['a disk over what a snapshot holds', {}, disksOf(65), 'over the 64 TiB'],
    ['Windows', {}, { os: 'windows2019srv_64Guest' }, 'runs Windows'],
  ])('refuses %s', async (_, options, traits, message) => {
    const { findings } = await check({ via: 'ebs-direct', ...options }, { traits });
    expect(failures(findings)).toEqual([expect.stringContaining(message)]);
  });

  test('says of a key what is wrong with it, and nothing else', async () => {
    const { findings } = await check({ via: 'ebs-direct', kmsKey: 'alias/disks' }, {});
    expect(findings.filter(({ subject }) => subject === 'key alias/disks')).toHaveLength(1);
  });

  test('lets disks pass that are too large for the bucket', async () => {
    const { findings } = await check({ via: 'ebs-direct' }, { traits: disksOf(20) });
    expect(failures(findings)).toEqual([]);
  });
});

test.each([
  ['arn:aws:iam::111122223333:user/mover', 'arn:aws:iam::111122223333:user/mover'],
  ['arn:aws-cn:sts::111122223333:assumed-role/mover/i-0abc', 'arn:aws-cn:iam::111122223333:role/mover'],
  ['arn:aws:iam::111122223333:root', null],
])('the policies of %s are those of %s', (caller, source) => {
  expect(policySourceOf(caller)).toBe(source);
});

async function check(
  options: JsonObject,
  given: { to?: JsonObject; traits?: MachineTraits; denied?: string[]; script?: Script } = {},
): Promise<{ findings: Finding[]; asked: string[] }> {
  const { to = {}, traits = {}, denied = [], script = {} } = given;
  const aws = scriptAws({ ...accountOf(denied), ...script }, { bucket: undefined as never, ...options });
  const place = { subnet: 'subnet-1', groups: ['sg-1'], ...to };
  const findings = await preflight(aws, [plannedWith(place, traits)], signal);
  return { findings, asked: aws.sent.map(({ name }) => name) };
}

/** An account in which a machine can land. */
function accountOf(denied: readonly string[]): Script {
  return {
    GetCallerIdentity: () => ({ Arn: 'arn:aws:iam::111122223333:user/mover', Account: '111122223333' }),
    SimulatePrincipalPolicy: ({ ActionNames }) => ({
      EvaluationResults: (ActionNames as string[]).map((name) => ({
        EvalActionName: name,
        EvalDecision: denied.includes(name) ? 'implicitDeny' : 'allowed',
      })),
    }),
    GetRole: () => ({
      Role: {
        Arn: 'arn:aws:iam::111122223333:role/vmimport',
        AssumeRolePolicyDocument: encodeURIComponent(
          JSON.stringify({
            Statement: [
              { Effect: 'Allow', Principal: { Service: 'vmie.amazonaws.com' }, Action: 'sts:AssumeRole' },
            ],
          }),
        ),
      },
    }),
    CreateMultipartUpload: () => ({ UploadId: 'u', ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' }),
    DescribeSubnets: () => ({
      Subnets: [{ SubnetId: 'subnet-1', VpcId: 'vpc-1', AvailableIpAddressCount: 9 }],
    }),
    DescribeSecurityGroups: () => ({ SecurityGroups: [{ GroupId: 'sg-1', VpcId: 'vpc-1' }] }),
    DescribeInstanceTypes: () => ({ InstanceTypes: [{ VCpuInfo: { DefaultVCpus: 2 } }] }),
    DescribeInstanceTypeOfferings: () => ({ InstanceTypeOfferings: [{}] }),
  };
}

function failures(findings: readonly Finding[]): string[] {
  return findings.filter(({ level }) => level === 'fail').map(({ message }) => message);
}

function disksOf(tib: number): MachineTraits {
  return {
    disks: [{ id: '0', bytes: tib * 2 ** 40, format: 'raw', file: '/images/large.raw', boots: true }],
  };
}

function snapshotArtifact(disk: string): Artifact {
  const ref = { snapshotId: `snap-${disk}` };
  return { disk, kind: 'ebs-snapshot', container: null, bytes: 524_288, ref, digests: [] };
}
