/** Rules of security groups: as requests give them, as AWS keeps them, as answers show them. Pure. */

import { parseBlock } from '../ipv4.ts';
import { integerParameter, listParameter, structParameter, textParameter } from '../query-form.ts';
import type { XmlObject } from '../xml.ts';
import { missing, newHex, refuse } from './refusals.ts';
import type { SecurityGroupRule } from './state.ts';

const permission = structParameter({
  IpProtocol: textParameter,
  FromPort: integerParameter.optional(),
  ToPort: integerParameter.optional(),
  IpRanges: listParameter(
    structParameter({ CidrIp: textParameter, Description: textParameter.optional() }),
  ).optional(),
  Ipv6Ranges: listParameter(
    structParameter({ CidrIpv6: textParameter, Description: textParameter.optional() }),
  ).optional(),
  PrefixListIds: listParameter(
    structParameter({ PrefixListId: textParameter, Description: textParameter.optional() }),
  ).optional(),
  Groups: listParameter(
    structParameter({
      GroupId: textParameter,
      UserId: textParameter.optional(),
      Description: textParameter.optional(),
    }),
  ).optional(),
});

export const permissionParameters = {
  IpPermissions: listParameter(permission).optional(),
  IpProtocol: textParameter.optional(),
  FromPort: integerParameter.optional(),
  ToPort: integerParameter.optional(),
  CidrIp: textParameter.optional(),
};

export type Permission = (typeof permission)['_output'];
export type PermissionInput = {
  IpPermissions?: Permission[] | undefined;
  IpProtocol?: string | undefined;
  FromPort?: number | undefined;
  ToPort?: number | undefined;
  CidrIp?: string | undefined;
};

/** One rule per peer. The short form (IpProtocol, CidrIp …) stands for a list of one. */
export function readRules(input: PermissionInput, isEgress: boolean): SecurityGroupRule[] {
  const permissions = input.IpPermissions ?? [shortForm(input)];
  return permissions.flatMap((given) => splitPermission(given, isEgress));
}

export function isSameRule(left: SecurityGroupRule, right: SecurityGroupRule): boolean {
  return (
    left.isEgress === right.isEgress &&
    left.protocol === right.protocol &&
    left.fromPort === right.fromPort &&
    left.toPort === right.toPort &&
    left.peer.kind === right.peer.kind &&
    left.peer.value === right.peer.value
  );
}

/** In AWS's words, for its refusals. */
export function nameRule({ protocol, fromPort, toPort, peer }: SecurityGroupRule): string {
  const name = protocol === '-1' ? 'ALL' : protocol.toUpperCase();
  const ports = fromPort === null ? '' : `, from port: ${fromPort}, to port: ${toPort}`;
  return `"peer: ${peer.value}, ${name}${ports}, ALLOW"`;
}

/** Rules of one direction, those of the same protocol and ports put together. */
export function describePermissions(rules: readonly SecurityGroupRule[], accountId: string): XmlObject[] {
  const byPorts = Map.groupBy(rules, (rule) => `${rule.protocol} ${rule.fromPort} ${rule.toPort}`);
  return [...byPorts.values()].map((same) => describePermission(same, accountId));
}

export function describeRule(
  rule: SecurityGroupRule,
  { groupId, accountId }: { groupId: string; accountId: string },
): XmlObject {
  const { kind, value } = rule.peer;
  return {
    securityGroupRuleId: rule.id,
    groupId,
    groupOwnerId: accountId,
    isEgress: rule.isEgress,
    ipProtocol: rule.protocol,
    fromPort: rule.fromPort ?? -1,
    toPort: rule.toPort ?? -1,
    cidrIpv4: kind === 'ipv4' ? value : null,
    cidrIpv6: kind === 'ipv6' ? value : null,
    prefixListId: kind === 'prefix-list' ? value : null,
    referencedGroupInfo: kind === 'group' ? { groupId: value, userId: accountId } : null,
    description: rule.description,
    tagSet: [],
  };
}

function shortForm({ IpProtocol, FromPort, ToPort, CidrIp }: PermissionInput): Permission {
  if (IpProtocol === undefined) throw missing('ipPermissions');
  const ranges = CidrIp === undefined ? {} : { IpRanges: [{ CidrIp }] };
  return { IpProtocol, FromPort, ToPort, ...ranges };
}

const PROTOCOLS: Readonly<Record<string, string>> = { '6': 'tcp', '17': 'udp', '1': 'icmp', all: '-1' };

function splitPermission(given: Permission, isEgress: boolean): SecurityGroupRule[] {
  const protocol = PROTOCOLS[given.IpProtocol] ?? given.IpProtocol;
  if (!/^(-1|tcp|udp|icmp|icmpv6|\d{1,3})$/.test(protocol)) {
    throw refuse(
      'InvalidParameterValue',
      `Invalid value '${given.IpProtocol}' for IP protocol. Unknown protocol.`,
    );
  }
  const ports = readPorts(protocol, given);
  const peers: Pick<SecurityGroupRule, 'peer' | 'description'>[] = [
    ...(given.IpRanges ?? []).map(({ CidrIp, Description }) => peer('ipv4', checkCidr(CidrIp), Description)),
    ...(given.Ipv6Ranges ?? []).map(({ CidrIpv6, Description }) => peer('ipv6', CidrIpv6, Description)),
    ...(given.PrefixListIds ?? []).map(({ PrefixListId, Description }) =>
      peer('prefix-list', PrefixListId, Description),
    ),
    ...(given.Groups ?? []).map(({ GroupId, Description }) => peer('group', GroupId, Description)),
  ];
  if (peers.length === 0) {
    throw refuse(
      'InvalidParameterValue',
      'Must specify at least one of: CIDR block, prefix list or source security group.',
    );
  }
  return peers.map((one) => ({ id: `sgr-${newHex()}`, isEgress, protocol, ...ports, ...one }));
}

function readPorts(
  protocol: string,
  { FromPort, ToPort }: Permission,
): Pick<SecurityGroupRule, 'fromPort' | 'toPort'> {
  if (protocol === '-1') return { fromPort: null, toPort: null };
  const isTransport = protocol === 'tcp' || protocol === 'udp';
  if (!isTransport) return { fromPort: FromPort ?? null, toPort: ToPort ?? null };
  if (FromPort === undefined || ToPort === undefined) {
    throw refuse(
      'InvalidParameterValue',
      `Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.`,
    );
  }
  if (FromPort < 0 || ToPort > 65_535 || FromPort > ToPort) {
    throw refuse('InvalidParameterValue', `Invalid TCP/UDP port range (${FromPort}:${ToPort})`);
  }
  return { fromPort: FromPort, toPort: ToPort };
}

function checkCidr(cidr: string): string {
  if (parseBlock(cidr) !== null) return cidr;
  throw refuse('InvalidParameterValue', `CIDR block ${cidr} is malformed`);
}

function peer(
  kind: SecurityGroupRule['peer']['kind'],
  value: string,
  description: string | undefined,
): Pick<SecurityGroupRule, 'peer' | 'description'> {
  return { peer: { kind, value }, description: description ?? null };
}

function describePermission(rules: readonly SecurityGroupRule[], accountId: string): XmlObject {
  const [first] = rules;
  const of = (kind: SecurityGroupRule['peer']['kind']) => rules.filter((rule) => rule.peer.kind === kind);
  return {
    ipProtocol: first?.protocol,
    fromPort: first?.fromPort,
    toPort: first?.toPort,
    groups: of('group').map(({ peer: { value }, description }) => ({
      groupId: value,
      userId: accountId,
      description,
    })),
    ipRanges: of('ipv4').map(({ peer: { value }, description }) => ({ cidrIp: value, description })),
    ipv6Ranges: of('ipv6').map(({ peer: { value }, description }) => ({ cidrIpv6: value, description })),
    prefixListIds: of('prefix-list').map(({ peer: { value }, description }) => ({
      prefixListId: value,
      description,
    })),
  };
}
