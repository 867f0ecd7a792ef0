/** What can be known of writing blocks into snapshots (ebs-direct) before one is sent. */
import { paginateDescribeSnapshots } from '@aws-sdk/client-ec2';
import { failed, look, lookIfAllowed, passed, warned } from '../../../src/domain/finding.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { snapshotArn } from './ebs-snapshot.ts';
import { ask, awsCodeOf } from './errors.ts';
import { looking } from './finding.ts';
import { callerIdentity, type SimulatedRights, simulateRights } from './preflight-account.ts';

/** https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html */
const PENDING_SNAPSHOTS = 100;
const KEY_ARN = /^arn:aws[a-z-]*:kms:[^:]+:\d{12}:key\/.+$/;

const SUBJECT = 'EBS direct';
const WRITING = ['ebs:StartSnapshot', 'ebs:PutSnapshotBlock', 'ebs:CompleteSnapshot'];
const READING = ['ebs:ListSnapshotBlocks', 'ebs:GetSnapshotBlock'];

export async function checkBlocks(
  aws: Aws,
  machines: readonly PlannedMachine[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const diskCount = machines.reduce((sum, { machine }) => sum + machine.disks.length, 0);
  return [
    ...(await checkBlockRights(aws, signal)),
    ...checkKeyArn(aws),
    ...(await checkPending(aws, diskCount, signal)),
  ];
}

async function checkBlockRights(aws: Aws, signal: AbortSignal): Promise<Finding[]> {
  return lookIfAllowed({ subject: SUBJECT, signal }, async () => {
    const { Arn = '' } = await callerIdentity(aws, signal);
    const arn = policySourceOf(Arn);
    if (arn === null) return [passed(SUBJECT, `${Arn} may do everything`)];
    const resource = snapshotArn(aws, '*');
    const rightsOf = (actions: string[]) => simulateRights(aws, { arn, actions, resource, signal });
    try {
      return findingsOf(await rightsOf(WRITING), await rightsOf(READING));
    } catch (error) {
      // A federated user, or a role under a path: its policies cannot be asked for by this name.
      if (!/NoSuchEntity|InvalidInput|ValidationError/.test(awsCodeOf(error))) throw error;
      const message = `whether ${arn} may write blocks is only known when the first snapshot starts`;
      return [warned(SUBJECT, message, 'Compare its policies with docs/aws.md.')];
    }
  });
}

function findingsOf(writing: SimulatedRights, reading: SimulatedRights): Finding[] {
  const remedy = 'Grant them to the identity of the workers, as docs/aws.md shows.';
  if (writing.missing.length > 0)
    return [failed(SUBJECT, `our policies do not allow ${writing.missing.join(', ')}`, remedy)];
  if (reading.missing.length > 0) {
    const message = `disks cannot be read back to be compared: our policies do not allow ${reading.missing.join(', ')}`;
    return [warned(SUBJECT, message, remedy)];
  }
  const unknown = [...writing.unknown, ...reading.unknown];
  if (unknown.length === 0) return [passed(SUBJECT, 'blocks may be written and read back')];
  const message = `our policies have conditions that only a real request meets or not: ${unknown.join(', ')}`;
  return [warned(SUBJECT, message, 'See that they are met, or let the first snapshot tell.')];
}

/** Whose policies apply to a caller; null for the root user, who needs none. */
export function policySourceOf(arn: string): string | null {
  if (arn.endsWith(':root')) return null;
  const [, partition, account, role] = /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(arn) ?? [];
  return role === undefined ? arn : `arn:${partition}:iam::${account}:role/${role}`;
}

/** The other calls take ids and aliases too. */
function checkKeyArn({ options: { kmsKey } }: Aws): Finding[] {
  if (kmsKey === undefined || KEY_ARN.test(kmsKey)) return [];
  const message = 'ebs-direct takes the ARN of a key only';
  return [failed(`key ${kmsKey}`, message, 'Set `kmsKey` to arn:aws:kms:REGION:ACCOUNT:key/ID.')];
}

async function checkPending(aws: Aws, diskCount: number, signal: AbortSignal): Promise<Finding[]> {
  return look({ subject: SUBJECT, signal }, async () => {
    const call = looking('snapshots under way', 'ec2:DescribeSnapshots', aws.options.region);
    const input = { OwnerIds: ['self'], Filters: [{ Name: 'status', Values: ['pending'] }] };
    let pendingCount = 0;
    await ask(call, async () => {
      const pages = paginateDescribeSnapshots({ client: aws.ec2 }, input, { abortSignal: signal });
      for await (const { Snapshots = [] } of pages) pendingCount += Snapshots.length;
    });
    if (pendingCount + diskCount <= PENDING_SNAPSHOTS) return [];
    const message = `${pendingCount} snapshots are under way in this account, and this wave brings up to ${diskCount}; AWS allows ${PENDING_SNAPSHOTS} unless the quota was raised`;
    const remedy =
      'Let fewer machines move at once, or raise the quota "Pending snapshots per account" of EBS.';
    return [warned(SUBJECT, message, remedy)];
  });
}
