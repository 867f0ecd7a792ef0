/**
 * What an account starts with: a default VPC, one subnet in each zone, its default group and two groups to land in.
 * The ids are fixed, so that a wave file can name them.
 */
import { newHex } from './refusals.ts';
import type { Ec2State, SecurityGroup, SecurityGroupRule, Subnet, Vpc } from './state.ts';

export type NetworkSeed = {
  vpcs: readonly { id: string; cidr: string; isDefault: boolean }[];
  subnets: readonly { id: string; vpcId: string; cidr: string; zoneLetter: string; isDefault: boolean }[];
  groups: readonly {
    id: string;
    vpcId: string;
    name: string;
    description: string;
    openPorts: readonly number[];
  }[];
};

const VPC_ID = 'vpc-0de0000000000001';

export const DEFAULT_NETWORK: NetworkSeed = {
  vpcs: [{ id: VPC_ID, cidr: '172.31.0.0/16', isDefault: true }],
  subnets: ['a', 'b', 'c'].map((zoneLetter, index) => ({
    id: `subnet-0de000000000000${index + 1}`,
    vpcId: VPC_ID,
    cidr: `172.31.${index * 16}.0/20`,
    zoneLetter,
    isDefault: true,
  })),
  groups: [
    group('sg-0de0000000000001', 'default', 'default VPC security group', []),
    group('sg-0de00000000000aa', 'web', 'Web servers', [80, 443]),
    group('sg-0de00000000000bb', 'db', 'Databases', [5432]),
  ],
};

export const ZONE_LETTERS = ['a', 'b', 'c'] as const;

export function seedState({
  network,
  region,
  now,
}: {
  network: NetworkSeed;
  region: string;
  now: number;
}): Ec2State {
  const vpcs = network.vpcs.map((vpc): Vpc => ({ ...vpc, tags: {} }));
  const subnets = network.subnets.map(({ zoneLetter, ...subnet }): Subnet => {
    const zone = `${region}${zoneLetter}`;
    return { ...subnet, zone, zoneId: zoneIdOf(zone, region), tags: {} };
  });
  const groups = network.groups.map(({ openPorts, ...seeded }): SecurityGroup => {
    const rules = [...openPorts.map((port) => openRule(port)), allowAllEgress()];
    return { ...seeded, rules, tags: {}, createdAt: now };
  });
  return {
    importTasks: {},
    snapshots: {},
    images: {},
    instances: {},
    volumes: {},
    groups: byId(groups),
    vpcs: byId(vpcs),
    subnets: byId(subnets),
  };
}

/** What AWS puts on a new group: the rule that a quarantine group must revoke. */
export function allowAllEgress(): SecurityGroupRule {
  return {
    id: `sgr-${newHex()}`,
    isEgress: true,
    protocol: '-1',
    fromPort: null,
    toPort: null,
    peer: { kind: 'ipv4', value: '0.0.0.0/0' },
    description: null,
  };
}

/** "us-east-1a" is "use1-az1". */
export function zoneIdOf(zone: string, region: string): string {
  const [area = '', direction = '', number = ''] = region.split('-');
  const position = ZONE_LETTERS.findIndex((letter) => zone.endsWith(letter)) + 1;
  return `${area}${direction.charAt(0)}${number}-az${position}`;
}

function group(
  id: string,
  name: string,
  description: string,
  openPorts: readonly number[],
): NetworkSeed['groups'][number] {
  return { id, vpcId: VPC_ID, name, description, openPorts };
}

function openRule(port: number): SecurityGroupRule {
  return {
    id: `sgr-${newHex()}`,
    isEgress: false,
    protocol: 'tcp',
    fromPort: port,
    toPort: port,
    peer: { kind: 'ipv4', value: '0.0.0.0/0' },
    description: null,
  };
}

function byId<T extends { id: string }>(members: readonly T[]): Record<string, T> {
  return Object.fromEntries(members.map((member) => [member.id, member]));
}
