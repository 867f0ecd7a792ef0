/**
 * The security group in which landings are proven: no way in, no way out. One for each run and VPC, found by its name;
 * or the one that the wave names, which is left as it is.
 */
import {
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  RevokeSecurityGroupEgressCommand,
  type SecurityGroup,
} from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { ask, askUnless } from './errors.ts';
import { asLag } from './lag.ts';
import { quarantineName, RUN_TAG, tagValue } from './names.ts';

const NOT_FOUND = ['InvalidGroup.NotFound', 'InvalidGroupId.Malformed'];

/** The id of the group for landings in this subnet; made and emptied where it is not there yet. */
export async function openQuarantine(aws: Aws, subnet: string, context: StepContext): Promise<string> {
  if (aws.options.quarantineGroup !== undefined) return aws.options.quarantineGroup;
  const vpc = await vpcOf(aws, subnet, context.signal);
  const entry = await context.ledger.intend('quarantine');
  const group =
    (await findGroup(aws, { vpc, context })) ??
    (await createGroup(aws, { vpc, context })) ??
    (await findGroup(aws, { vpc, context }));
  if (group?.GroupId === undefined) throw notListedYet(vpc);
  await shut(aws, group, context);
  // Settled once: whoever discards goes by the time of the last change, and the group goes after the instance.
  if (entry.state !== 'done' || entry.ref?.groupId !== group.GroupId)
    await context.ledger.settle(entry, 'done', { groupId: group.GroupId, vpc });
  return group.GroupId;
}

/** Removes a group that Landfall made, unless an instance is still in it. Idempotent. Returns whether it is gone. */
export async function closeQuarantine(
  aws: Aws,
  { groupId, run, signal }: { groupId: string; run: string; signal: AbortSignal },
): Promise<boolean> {
  const group = await describeGroup(aws, groupId, signal);
  if (group === null) return true;
  if (tagValue(group.Tags, RUN_TAG) !== run) throw foreignGroup(group, run);
  const call = {
    doing: 'Removing a quarantine group',
    action: 'ec2:DeleteSecurityGroup',
    resource: groupId,
  };
  const command = new DeleteSecurityGroupCommand({ GroupId: groupId });
  const deleted = await askUnless(['DependencyViolation', ...NOT_FOUND], call, () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return deleted !== null || (await describeGroup(aws, groupId, signal)) === null;
}

async function vpcOf(aws: Aws, subnet: string, signal: AbortSignal): Promise<string> {
  const call = { doing: 'Looking for the subnet', action: 'ec2:DescribeSubnets', resource: subnet };
  const command = new DescribeSubnetsCommand({ SubnetIds: [subnet] });
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  return answer.Subnets?.[0]?.VpcId as string;
}

type Place = { vpc: string; context: StepContext };

async function findGroup(aws: Aws, { vpc, context }: Place): Promise<SecurityGroup | null> {
  const name = quarantineName(context.run);
  const call = {
    doing: 'Looking for the quarantine group',
    action: 'ec2:DescribeSecurityGroups',
    resource: vpc,
  };
  const command = new DescribeSecurityGroupsCommand({
    Filters: [
      { Name: 'group-name', Values: [name] },
      { Name: 'vpc-id', Values: [vpc] },
    ],
  });
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
  const group = answer.SecurityGroups?.[0] ?? null;
  if (group !== null && tagValue(group.Tags, RUN_TAG) !== context.run) throw foreignGroup(group, context.run);
  return group;
}

/** null where another worker made it at the same moment. */
async function createGroup(aws: Aws, { vpc, context }: Place): Promise<SecurityGroup | null> {
  const name = quarantineName(context.run);
  const call = { doing: 'Making a quarantine group', action: 'ec2:CreateSecurityGroup', resource: vpc };
  const command = new CreateSecurityGroupCommand({
    GroupName: name,
    Description: `Landfall run ${context.run}: no way in or out until proven`,
    VpcId: vpc,
    TagSpecifications: [
      {
        ResourceType: 'security-group',
        // Shared by the machines of the run, so it carries no machine's tag.
        Tags: [
          { Key: 'Name', Value: name },
          { Key: RUN_TAG, Value: context.run },
        ],
      },
    ],
  });
  const answer = await askUnless(['InvalidGroup.Duplicate'], call, () =>
    aws.ec2.send(command, { abortSignal: context.signal }),
  );
  if (answer?.GroupId === undefined) return null;
  return describeGroup(aws, answer.GroupId, context.signal);
}

/** A new group lets everything out. Rules that somebody added would let a landing be reached before it is proven. */
async function shut(aws: Aws, group: SecurityGroup, context: StepContext): Promise<void> {
  const groupId = group.GroupId as string;
  if ((group.IpPermissions ?? []).length > 0) throw openedGroup(groupId);
  const egress = group.IpPermissionsEgress ?? [];
  if (egress.length === 0) return;
  const call = {
    doing: 'Emptying the quarantine group',
    action: 'ec2:RevokeSecurityGroupEgress',
    resource: groupId,
  };
  const command = new RevokeSecurityGroupEgressCommand({ GroupId: groupId, IpPermissions: egress });
  await askUnless(['InvalidPermission.NotFound'], call, () =>
    aws.ec2.send(command, { abortSignal: context.signal }),
  ).catch((error) => {
    throw asLag(error);
  });
}

async function describeGroup(aws: Aws, groupId: string, signal: AbortSignal): Promise<SecurityGroup | null> {
  const call = {
    doing: 'Looking for a security group',
    action: 'ec2:DescribeSecurityGroups',
    resource: groupId,
  };
  const command = new DescribeSecurityGroupsCommand({ GroupIds: [groupId] });
  const answer = await askUnless(NOT_FOUND, call, () => aws.ec2.send(command, { abortSignal: signal }));
  return answer?.SecurityGroups?.[0] ?? null;
}

function notListedYet(vpc: string): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `AWS made the quarantine group in ${vpc} but does not list it yet. It is tried again.`,
  });
}

function foreignGroup(group: SecurityGroup, run: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `Left the security group ${group.GroupId} (${group.GroupName}) alone: it has a name of Landfall's but not the tag of run ${run}. Rename it, remove it by hand, or name a \`quarantineGroup\` in the target.`,
  });
}

function openedGroup(groupId: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The quarantine group ${groupId} has rules that let traffic in; an unproven machine would be reachable. Remove them, then retry.`,
  });
}
