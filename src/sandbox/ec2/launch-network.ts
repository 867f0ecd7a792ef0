/** Where a launch puts its instances: subnet, groups, address, interface. */
import { randomBytes } from 'node:crypto';
import { assignAddress, chooseGroups } from './instance-network.ts';
import { type RunInput, tagsFor } from './launch-parameters.ts';
import { newHex, newId, refuse, requireMember } from './refusals.ts';
import type { Ec2State, NetworkInterface, Subnet } from './state.ts';

export type Network = { subnet: Subnet; groupIds: string[]; wanted: string | undefined; description: string };

export function readNetwork(state: Ec2State, input: RunInput): Network {
  const [nic, ...others] = input.NetworkInterface ?? [];
  const isTwice = input.SubnetId !== undefined || input.SecurityGroupId !== undefined;
  if (nic !== undefined && isTwice) {
    throw refuse(
      'InvalidParameterCombination',
      'Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request',
    );
  }
  if (others.length > 0 || (nic !== undefined && nic.DeviceIndex !== 0)) {
    throw refuse(
      'UnsupportedOperation',
      'The sandbox gives an instance one network interface, with device index 0.',
    );
  }
  if (nic?.AssociatePublicIpAddress === true) {
    throw refuse('UnsupportedOperation', 'The sandbox has no public addresses.');
  }
  const subnet = chooseSubnet(state, nic?.SubnetId ?? input.SubnetId, input.Placement?.AvailabilityZone);
  const groupIds = chooseGroups(state, subnet, nic?.SecurityGroupId ?? input.SecurityGroupId ?? []);
  const wanted = nic?.PrivateIpAddress ?? input.PrivateIpAddress;
  if (wanted !== undefined && input.MaxCount > 1) {
    throw refuse('InvalidParameterCombination', 'A private IP address can be given to one instance only.');
  }
  return { subnet, groupIds, wanted, description: nic?.Description ?? '' };
}

function chooseSubnet(state: Ec2State, id: string | undefined, zone: string | undefined): Subnet {
  const subnet =
    id === undefined
      ? Object.values(state.subnets).find(
          (other) => other.isDefault && (zone === undefined || other.zone === zone),
        )
      : requireMember({ members: state.subnets, kind: 'subnet', id });
  if (subnet === undefined) {
    throw refuse('MissingInput', `No subnets found for the default VPC. Please specify a subnet.`);
  }
  if (zone !== undefined && subnet.zone !== zone) {
    throw refuse(
      'InvalidParameterValue',
      `Value (${zone}) for parameter availabilityZone is invalid. The subnet ${subnet.id} is in ${subnet.zone}.`,
    );
  }
  return subnet;
}

export function createInterface({
  state,
  network: { subnet, groupIds, wanted, description },
  input,
}: {
  state: Ec2State;
  network: Network;
  input: RunInput;
}): NetworkInterface {
  return {
    id: newId('interface'),
    attachmentId: `eni-attach-${newHex()}`,
    subnetId: subnet.id,
    vpcId: subnet.vpcId,
    zone: subnet.zone,
    privateIp: assignAddress(state, subnet, wanted),
    // Locally administered, as on Nitro.
    mac: ['0e', ...(randomBytes(5).toString('hex').match(/../g) ?? [])].join(':'),
    description,
    groupIds: [...groupIds],
    tags: tagsFor(input, 'network-interface'),
  };
}
