/** Finds an instance: by its id, or by the tag of the ledger entry that made it. */
import { DescribeInstancesCommand, type DescribeInstancesRequest, type Instance } from '@aws-sdk/client-ec2';
import type { LedgerEntry } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { askUnless } from './errors.ts';
import { TOKEN_TAG } from './names.ts';

const NOT_FOUND = ['InvalidInstanceID.NotFound'];
/** A terminated instance stays listed for about an hour. */
const NOT_TERMINATED = {
  Name: 'instance-state-name',
  Values: ['pending', 'running', 'stopping', 'stopped', 'shutting-down'],
};

/** null where there is none (any more). */
export async function describeInstance(
  aws: Aws,
  instanceId: string,
  signal: AbortSignal,
): Promise<Instance | null> {
  return (await describe(aws, { InstanceIds: [instanceId] }, signal))[0] ?? null;
}

/** What this ledger entry made, where its id was never written down; null where it is terminated or not there. */
export async function findInstance(
  aws: Aws,
  { token }: LedgerEntry,
  signal: AbortSignal,
): Promise<Instance | null> {
  const filter = { Name: `tag:${TOKEN_TAG}`, Values: [token] };
  return (await describe(aws, { Filters: [filter, NOT_TERMINATED] }, signal))[0] ?? null;
}

async function describe(
  aws: Aws,
  request: DescribeInstancesRequest,
  signal: AbortSignal,
): Promise<Instance[]> {
  const call = {
    doing: 'Looking for an instance',
    action: 'ec2:DescribeInstances',
    resource: request.InstanceIds?.join(', ') ?? aws.options.region,
  };
  const command = new DescribeInstancesCommand(request);
  const answer = await askUnless(NOT_FOUND, call, () => aws.ec2.send(command, { abortSignal: signal }));
  return (answer?.Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
}
