/** Which address and which groups an instance gets. Pure. */
import { formatAddress, isReserved, isWithin, parseAddress, parseBlock } from '../ipv4.ts';
import { refuse, requireMember } from './refusals.ts';
import { type Ec2State, isLive, type Subnet } from './state.ts';

/** Addresses of a subnet that instances hold; terminated ones gave theirs back. */
export function usedAddresses(state: Readonly<Ec2State>, subnetId: string): Set<string> {
  const holders = Object.values(state.instances).filter(
    (instance) => isLive(instance) && instance.interface.subnetId === subnetId,
  );
  return new Set(holders.map((instance) => instance.interface.privateIp));
}

/** The wanted address, or the lowest free one. Throws EC2's refusals. */
export function assignAddress(state: Readonly<Ec2State>, subnet: Subnet, wanted: string | undefined): string {
  const used = usedAddresses(state, subnet.id);
  const block = parseBlock(subnet.cidr);
  if (block === null) throw new TypeError(`subnet ${subnet.id} has the block ${subnet.cidr}`);
  if (wanted === undefined) {
    for (let address = block.first; address < block.first + block.size; address++) {
      const text = formatAddress(address);
      if (!isReserved(block, address) && !used.has(text)) return text;
    }
    throw refuse(
      'InsufficientFreeAddressesInSubnet',
      `There are not enough free addresses in subnet '${subnet.id}' to satisfy the requested number of instances.`,
    );
  }
  const address = parseAddress(wanted);
  if (address === null) throw refuse('InvalidParameterValue', `Invalid IP address '${wanted}'`);
  if (!isWithin(block, address)) {
    throw refuse(
      'InvalidParameterValue',
      `Address ${wanted} does not fall within the subnet's address range`,
    );
  }
  if (isReserved(block, address)) {
    throw refuse('InvalidParameterValue', `Address ${wanted} is in subnet's reserved address range`);
  }
  if (used.has(wanted)) throw refuse('InvalidIPAddress.InUse', `Address ${wanted} is in use.`);
  return wanted;
}

/** The groups, checked to be of the subnet's VPC; without any, the VPC's default group. */
export function chooseGroups(state: Readonly<Ec2State>, subnet: Subnet, ids: readonly string[]): string[] {
  const given = ids.map((id) => requireMember({ members: state.groups, kind: 'group', id }));
  const stranger = given.find((group) => group.vpcId !== subnet.vpcId);
  if (stranger !== undefined) {
    throw refuse(
      'InvalidParameter',
      `Security group ${stranger.id} and subnet ${subnet.id} belong to different networks.`,
    );
  }
  if (given.length > 0) return [...new Set(given.map((group) => group.id))];
  const fallback = Object.values(state.groups).find(
    (group) => group.vpcId === subnet.vpcId && group.name === 'default',
  );
  return fallback === undefined ? [] : [fallback.id];
}
