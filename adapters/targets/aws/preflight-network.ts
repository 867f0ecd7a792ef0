/** What EC2 says of the places in which a wave lands, asked once for all machines. */
import {
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type InstanceTypeInfo,
  type SecurityGroup,
  type Subnet,
} from '@aws-sdk/client-ec2';
import { GetInstanceProfileCommand } from '@aws-sdk/client-iam';
import type { Aws } from './clients.ts';
import { ask, askUnless } from './errors.ts';
import { looking } from './finding.ts';

/** null where there is no such subnet. */
export async function findSubnet(aws: Aws, id: string, signal: AbortSignal): Promise<Subnet | null> {
  const gone = ['InvalidSubnetID.NotFound', 'InvalidSubnetID.Malformed', 'InvalidSubnetId.Malformed'];
  const command = new DescribeSubnetsCommand({ SubnetIds: [id] });
  const answer = await askUnless(gone, looking('a subnet', 'ec2:DescribeSubnets', id), () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return answer?.Subnets?.[0] ?? null;
}

/** null where there is no such group. */
export async function findGroup(aws: Aws, id: string, signal: AbortSignal): Promise<SecurityGroup | null> {
  const gone = ['InvalidGroup.NotFound', 'InvalidGroupId.Malformed', 'InvalidGroupId.NotFound'];
  const command = new DescribeSecurityGroupsCommand({ GroupIds: [id] });
  const answer = await askUnless(gone, looking('a security group', 'ec2:DescribeSecurityGroups', id), () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return answer?.SecurityGroups?.[0] ?? null;
}

/** What has this address in the subnet now, in words; null where it is free. */
export async function findAddressHolder(
  aws: Aws,
  { subnet, address }: { subnet: string; address: string },
  signal: AbortSignal,
): Promise<string | null> {
  const command = new DescribeNetworkInterfacesCommand({
    Filters: [
      { Name: 'subnet-id', Values: [subnet] },
      { Name: 'addresses.private-ip-address', Values: [address] },
    ],
  });
  const call = looking('network interfaces', 'ec2:DescribeNetworkInterfaces', subnet);
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  const nic = answer.NetworkInterfaces?.[0];
  if (nic === undefined) return null;
  return nic.Attachment?.InstanceId ?? nic.NetworkInterfaceId ?? 'a network interface';
}

/** null where there is no such type. */
export async function findInstanceType(
  aws: Aws,
  name: string,
  signal: AbortSignal,
): Promise<InstanceTypeInfo | null> {
  const gone = ['InvalidInstanceType', 'InvalidParameterValue'];
  const type = name as NonNullable<InstanceTypeInfo['InstanceType']>;
  const command = new DescribeInstanceTypesCommand({ InstanceTypes: [type] });
  const answer = await askUnless(gone, looking('an instance type', 'ec2:DescribeInstanceTypes', name), () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return answer?.InstanceTypes?.[0] ?? null;
}

export async function isTypeOffered(
  aws: Aws,
  { type, zone }: { type: string; zone: string },
  signal: AbortSignal,
): Promise<boolean> {
  const command = new DescribeInstanceTypeOfferingsCommand({
    LocationType: 'availability-zone',
    Filters: [
      { Name: 'instance-type', Values: [type] },
      { Name: 'location', Values: [zone] },
    ],
  });
  const call = looking('instance types', 'ec2:DescribeInstanceTypeOfferings', zone);
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  return (answer.InstanceTypeOfferings ?? []).length > 0;
}

export async function hasInstanceProfile(aws: Aws, name: string, signal: AbortSignal): Promise<boolean> {
  const gone = ['NoSuchEntity', 'NoSuchEntityException'];
  const command = new GetInstanceProfileCommand({ InstanceProfileName: name });
  const answer = await askUnless(gone, looking('an instance profile', 'iam:GetInstanceProfile', name), () =>
    aws.iam.send(command, { abortSignal: signal }),
  );
  return answer !== null;
}
