/** What can be known of the account before a byte moves: who we are, the bucket, the importer's role, our rights. */
import {
  CreateSecurityGroupCommand,
  ImportImageCommand,
  ImportSnapshotCommand,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import { type EvaluationResult, GetRoleCommand, SimulatePrincipalPolicyCommand } from '@aws-sdk/client-iam';
import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, type GetCallerIdentityResponse } from '@aws-sdk/client-sts';
import { LandfallError } from '../../../src/domain/errors.ts';
import { failed, findingOf, look, lookIfAllowed, passed, warned } from '../../../src/domain/finding.ts';
import type { Finding } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { asAwsError, ask, askUnless, awsCodeOf } from './errors.ts';
import { looking } from './finding.ts';
import { abortMultipart, createMultipart } from './multipart.ts';
import type { Via } from './options.ts';

export async function checkIdentity(aws: Aws, signal: AbortSignal): Promise<Finding[]> {
  const subject = 'credentials';
  return look({ subject, signal }, async () => {
    try {
      const identity = await callerIdentity(aws, signal);
      return [passed(subject, `${identity.Arn} in account ${identity.Account}`)];
    } catch (error) {
      if (!(error instanceof LandfallError) || error.code !== 'target-denied') throw error;
      return [{ ...findingOf(subject, error), remedy: SHELL_CREDENTIALS }];
    }
  });
}

export async function callerIdentity(aws: Aws, signal: AbortSignal): Promise<GetCallerIdentityResponse> {
  const call = looking('the credentials', 'sts:GetCallerIdentity', aws.options.region);
  const command = new GetCallerIdentityCommand();
  return ask(call, () => aws.sts.send(command, { abortSignal: signal }));
}

/** Pre-flight asks with what an operator's shell has; errors of requests speak to whoever looks after a worker. */
const SHELL_CREDENTIALS =
  'Give this shell valid AWS credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID and its secret, ~/.aws, or an instance role), renew those that expired, and see that the clock is right. Workers that run already keep their own: `landfall down`, then start them again.';

/** `needing` are the machines that go through it. */
export async function checkBucket(
  aws: Aws,
  needing: readonly string[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const { bucket, region } = aws.options;
  if (bucket === undefined) {
    const who = needing.length === 0 ? 'its machines need one' : `${needing.join(', ')} would go through one`;
    const remedy = 'Name a `bucket` in the target, or set `via: ebs-direct` there or under `to:`.';
    return [failed('bucket', `the target names none, but ${who}`, remedy)];
  }
  const subject = `bucket ${bucket}`;
  return look({ subject, signal }, async () => {
    const call = looking('the bucket', 's3:ListBucket', `s3://${bucket}`);
    const command = new HeadBucketCommand({ Bucket: bucket });
    const gone = ['NotFound', 'NoSuchBucket'];
    const head = await askUnless(gone, call, () => aws.s3.send(command, { abortSignal: signal }));
    if (head === null) {
      const remedy = `Create it in ${region} (\`aws s3 mb s3://${bucket} --region ${region}\`), or correct \`bucket\`.`;
      return [failed(subject, 'there is no such bucket', remedy)];
    }
    if (head.BucketRegion !== undefined && head.BucketRegion !== region) {
      const message = `it is in ${head.BucketRegion}, but machines land in ${region}; AWS imports only within a region`;
      return [
        failed(subject, message, `Name a bucket in ${region}, or set \`region: ${head.BucketRegion}\`.`),
      ];
    }
    return probeBucket(aws, { subject, bucket, signal });
  });
}

/** Starts an upload and gives it up: nothing is stored, and the right to write is known. */
async function probeBucket(
  aws: Aws,
  { subject, bucket, signal }: { subject: string; bucket: string; signal: AbortSignal },
): Promise<Finding[]> {
  const { prefix } = aws.options;
  const place = { bucket, key: `${prefix}preflight` };
  const { uploadId, mode } = await createMultipart(aws.s3, place, { metadata: {}, signal });
  await abortMultipart(aws.s3, { ...place, uploadId }, signal);
  if (mode === 'full-object') return [passed(subject, 'exists and can be written to')];
  const message =
    mode === 'composite'
      ? 'can be written to, but keeps checksums of parts only'
      : 'can be written to, but keeps no checksums: damage on the way would not be noticed by the server';
  return [
    warned(
      subject,
      message,
      'Use a server that keeps CRC-32 checksums, or compare the landed disks yourself.',
    ),
  ];
}

/** Whether the role may read a bucket that is not there would be told as a second fault of one cause. */
export async function checkRole(
  aws: Aws,
  { isBucketUsable, signal }: { isBucketUsable: boolean; signal: AbortSignal },
): Promise<Finding[]> {
  const { role } = aws.options;
  const subject = `role ${role}`;
  return lookIfAllowed({ subject, signal }, async () => {
    const call = looking('the service role', 'iam:GetRole', `role ${role}`);
    const command = new GetRoleCommand({ RoleName: role });
    const gone = ['NoSuchEntity', 'NoSuchEntityException'];
    const found = await askUnless(gone, call, () => aws.iam.send(command, { abortSignal: signal }));
    const { Arn: arn = '', AssumeRolePolicyDocument: trust = '' } = found?.Role ?? {};
    if (found === null)
      return [failed(subject, 'there is no such role', 'Create it as docs/aws.md shows, or correct `role`.')];
    if (!trustsImporter(trust)) {
      const message = "it does not trust AWS's importer";
      const remedy =
        'Let vmie.amazonaws.com assume it with the condition sts:Externalid = vmimport, as docs/aws.md shows.';
      return [failed(subject, message, remedy)];
    }
    if (!isBucketUsable) return [];
    return checkRolePolicies(aws, { subject, arn, signal });
  });
}

/** Does the trust policy, URL-encoded as IAM hands it out, let the importer assume the role? */
export function trustsImporter(encoded: string): boolean {
  const { Statement: statements } = JSON.parse(decodeURIComponent(encoded)) as { Statement?: unknown };
  return listOf(statements).some((statement) => {
    const { Effect, Principal, Action, Condition } = statement as Record<string, unknown>;
    const services = listOf((Principal as { Service?: unknown } | undefined)?.Service);
    const actions = listOf(Action).map((action) => String(action).toLowerCase());
    return (
      Effect === 'Allow' &&
      services.includes('vmie.amazonaws.com') &&
      (actions.includes('sts:assumerole') || actions.includes('sts:*')) &&
      acceptsExternalId(Condition)
    );
  });
}

/** No condition at all accepts too; condition keys are case-insensitive. */
function acceptsExternalId(condition: unknown): boolean {
  const tests = Object.values((condition ?? {}) as Record<string, Record<string, unknown>>);
  const ids = tests.flatMap((test) =>
    Object.entries(test)
      .filter(([key]) => key.toLowerCase() === 'sts:externalid')
      .flatMap(([, value]) => listOf(value)),
  );
  return ids.length === 0 || ids.includes('vmimport');
}

async function checkRolePolicies(
  aws: Aws,
  { subject, arn, signal }: { subject: string; arn: string; signal: AbortSignal },
): Promise<Finding[]> {
  const { bucket, prefix } = aws.options;
  const bucketArn = `arn:${arn.split(':')[1] ?? 'aws'}:s3:::${bucket}`;
  const needs = [
    { actions: ['s3:GetBucketLocation', 's3:ListBucket'], resource: bucketArn },
    { actions: ['s3:GetObject'], resource: `${bucketArn}/${prefix}preflight` },
    { actions: ['ec2:ModifySnapshotAttribute', 'ec2:CopySnapshot', 'ec2:RegisterImage'], resource: '*' },
  ];
  const missing: string[] = [];
  const unknown: string[] = [];
  for (const need of needs) {
    const rights = await simulateRights(aws, { ...need, arn, signal });
    missing.push(...rights.missing);
    unknown.push(...rights.unknown);
  }
  if (missing.length > 0) {
    const remedy = 'Add the missing actions to a policy of the role, as docs/aws.md shows.';
    return [failed(subject, `its policies do not allow ${missing.join(', ')}`, remedy)];
  }
  if (unknown.length > 0) {
    const message = `its policies have conditions that only a real request meets or not: ${unknown.join(', ')}`;
    return [warned(subject, message, "See that AWS's importer meets them, or let the first import tell.")];
  }
  return [passed(subject, "AWS's importer can use it and read the bucket")];
}

/** As `ACTION on RESOURCE`. */
export type SimulatedRights = {
  missing: readonly string[];
  /** Those that hang on conditions which only a real request meets or not. */
  unknown: readonly string[];
};

/** What the policies of a user or role do not allow. */
export async function simulateRights(
  aws: Aws,
  of: { arn: string; actions: string[]; resource: string; signal: AbortSignal },
): Promise<SimulatedRights> {
  const { arn, actions, resource, signal } = of;
  const call = looking(`the policies of ${arn}`, 'iam:SimulatePrincipalPolicy', arn);
  const command = new SimulatePrincipalPolicyCommand({
    PolicySourceArn: arn,
    ActionNames: actions,
    ResourceArns: [resource],
  });
  const answer = await ask(call, () => aws.iam.send(command, { abortSignal: signal }));
  const refused = (answer.EvaluationResults ?? []).filter(({ EvalDecision }) => EvalDecision !== 'allowed');
  const name = ({ EvalActionName }: EvaluationResult): string => `${EvalActionName} on ${resource}`;
  return {
    missing: refused.filter((result) => !dependsOnContext(result)).map(name),
    unknown: refused.filter(dependsOnContext).map(name),
  };
}

/** Not allowed because a condition names keys (a tag, a source account) whose values the simulation was not told. */
function dependsOnContext({ EvalDecision, MissingContextValues }: EvaluationResult): boolean {
  return EvalDecision === 'implicitDeny' && (MissingContextValues ?? []).length > 0;
}

/** EC2 tells by a dry run whether a request would be allowed. What else it says of such a request does not matter. */
export async function checkRights(aws: Aws, vias: ReadonlySet<Via>, signal: AbortSignal): Promise<Finding[]> {
  const options = { abortSignal: signal };
  const name = 'landfall-preflight';
  const trials: Trial[] = [
    ...importTrials(aws, vias, signal),
    [
      'ec2:RegisterImage',
      () =>
        aws.ec2.send(
          new RegisterImageCommand({ DryRun: true, Name: name, RootDeviceName: '/dev/sda1' }),
          options,
        ),
    ],
    [
      'ec2:CreateSecurityGroup',
      () =>
        aws.ec2.send(
          new CreateSecurityGroupCommand({ DryRun: true, GroupName: name, Description: name }),
          options,
        ),
    ],
  ];
  const findings: Finding[] = [];
  for (const [action, send] of trials) findings.push(...(await tryRight(aws, { action, send, signal })));
  return findings;
}

type Trial = [string, () => Promise<unknown>];

function importTrials(aws: Aws, vias: ReadonlySet<Via>, signal: AbortSignal): Trial[] {
  const { bucket, prefix, role } = aws.options;
  const object = { S3Bucket: bucket, S3Key: `${prefix}preflight` };
  const options = { abortSignal: signal };
  const disk = { Format: 'RAW', UserBucket: object };
  const byImage = new ImportImageCommand({ DryRun: true, RoleName: role, DiskContainers: [disk] });
  const bySnapshot = new ImportSnapshotCommand({
    DryRun: true,
    RoleName: role,
    DiskContainer: { Format: 'RAW', UserBucket: object },
  });
  const trials: Trial[] = [];
  if (vias.has('import-image')) trials.push(['ec2:ImportImage', () => aws.ec2.send(byImage, options)]);
  if (vias.has('import-snapshot'))
    trials.push(['ec2:ImportSnapshot', () => aws.ec2.send(bySnapshot, options)]);
  return trials;
}

async function tryRight(
  aws: Aws,
  { action, send, signal }: { action: string; send: () => Promise<unknown>; signal: AbortSignal },
): Promise<Finding[]> {
  const subject = `right to ${action}`;
  try {
    await send();
    return [];
  } catch (error) {
    signal.throwIfAborted();
    if (awsCodeOf(error) !== 'UnauthorizedOperation') return [];
    return look({ subject, signal }, async () => {
      throw asAwsError(looking('our rights', action, aws.options.region), error);
    });
  }
}

function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}
