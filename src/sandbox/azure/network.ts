/**
 * Virtual networks and security groups. Networks are there from the start and only read; groups are made and removed.
 * https://learn.microsoft.com/rest/api/virtualnetwork/network-security-groups
 */
import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { isReserved, isWithin, parseAddress, parseBlock } from '../ipv4.ts';
import { type ArmCall, answerArmJson, parameterOf, readBody, tagsSchema } from './arm-call.ts';
import { requireLocation } from './catalogue.ts';
import type { AzureCloud, AzureDesk } from './cloud.ts';
import { listInGroup } from './disks.ts';
import { refuse, resourceNotFound } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import { DEFAULT_RULES, securityRuleSchema } from './security-rules.ts';
import type { AzureState, SecurityGroup, SecurityRule, VirtualNetwork } from './state.ts';

const groupSchema = z.strictObject({
  id: z.string().optional(),
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z
    .strictObject({
      flushConnection: z.boolean().optional(),
      securityRules: z.array(securityRuleSchema).optional(),
    })
    .optional(),
});

export function getNetwork({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const network = findById(store.read().networks, call.id);
  if (network === undefined) throw missing('virtualNetworks', call);
  return answerArmJson(200, describeNetwork(store.read(), network));
}

/** Without the proposals that Azure makes where it is not. */
export function checkAddress({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const network = findById(store.read().networks, call.id);
  if (network === undefined) throw missing('virtualNetworks', call);
  const wanted = call.http.query.get('ipAddress') ?? '';
  const value = parseAddress(wanted);
  if (value === null)
    throw refuse(400, 'InvalidIPAddressFormat', `Value '${wanted}' is not a valid IP address.`);
  const blocks = network.subnets.map(({ addressPrefix }) => parseBlock(addressPrefix));
  const home = blocks.find((block) => block !== null && isWithin(block, value)) ?? null;
  const isTaken = Object.values(store.read().interfaces).some(({ addresses }) =>
    addresses.some(
      ({ subnetId, address }) => address === wanted && keyOf(subnetId).startsWith(`${keyOf(network.id)}/`),
    ),
  );
  return answerArmJson(200, { available: home !== null && !isReserved(home, value) && !isTaken });
}

export function listNetworks({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const state = store.read();
  const value = listInGroup(Object.values(state.networks), call).map((network) =>
    describeNetwork(state, network),
  );
  return answerArmJson(200, { value });
}

export function getSubnet({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const network = findById(store.read().networks, call.id.replace(/\/subnets\/[^/]+$/i, ''));
  if (network === undefined) throw missing('virtualNetworks', call);
  const wanted = parameterOf(call, 'subnet').toLowerCase();
  const subnet = network.subnets.find(({ name }) => name.toLowerCase() === wanted);
  if (subnet === undefined) throw refuse(404, 'NotFound', `Resource ${call.id} not found.`);
  return answerArmJson(200, describeSubnet(store.read(), network, subnet));
}

export async function putSecurityGroup(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const { location, tags = {}, properties } = readBody(groupSchema, call);
  requireLocation(location);
  const rules = (properties?.securityRules ?? []).map(({ name, properties }) => ({ name, properties }));
  checkRules(rules as SecurityRule[]);
  const existing = findById(desk.store.read().securityGroups, call.id);
  const group: SecurityGroup = {
    id: existing?.id ?? call.id,
    name: existing?.name ?? parameterOf(call, 'name'),
    resourceGroup: parameterOf(call, 'group'),
    location,
    tags,
    resourceGuid: existing?.resourceGuid ?? randomUUID(),
    rules: rules as SecurityRule[],
  };
  await desk.store.update((state) => {
    state.securityGroups[keyOf(group.id)] = group;
  });
  const body = describeGroup(desk.store.read(), group);
  const status = existing === undefined ? 201 : 200;
  return desk.operations.accept({ call, kind: 'network', status, body, work: async () => null });
}

export function getSecurityGroup(desk: AzureDesk, call: ArmCall): HttpAnswer {
  const group = findById(desk.store.read().securityGroups, call.id);
  if (group === undefined) throw missing('networkSecurityGroups', call);
  return answerArmJson(200, describeGroup(desk.store.read(), group));
}

export function listSecurityGroups({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const state = store.read();
  const value = listInGroup(Object.values(state.securityGroups), call).map((group) =>
    describeGroup(state, group),
  );
  return answerArmJson(200, { value });
}

export async function deleteSecurityGroup(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const state = desk.store.read();
  const group = findById(state.securityGroups, call.id);
  if (group === undefined) return { status: 204, headers: {}, body: { kind: 'empty' } };
  const users = usersOf(state, group);
  if (users.length > 0) {
    throw refuse(
      400,
      'InUseNetworkSecurityGroupCannotBeDeleted',
      `Network security group ${group.id} cannot be deleted because it is in use by the following resources: ${users.join(', ')}. In order to delete the Network security group, remove the association with the resource(s).`,
    );
  }
  await desk.store.update((draft) => {
    delete draft.securityGroups[keyOf(group.id)];
  });
  return desk.operations.accept({ call, kind: 'network', status: 202, work: async () => null });
}

/** The network and the subnet that an id names. Throws InvalidResourceReference. */
export function requireSubnet(
  { store }: AzureCloud,
  { subnetId, userId }: { subnetId: string; userId: string },
): { network: VirtualNetwork; id: string; addressPrefix: string } {
  const [networkId = '', name = ''] = subnetId.split(/\/subnets\//i);
  const network = findById(store.read().networks, networkId);
  const subnet = network?.subnets.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (network === undefined || subnet === undefined) throw badReference(subnetId, userId);
  return { network, id: `${network.id}/subnets/${subnet.name}`, addressPrefix: subnet.addressPrefix };
}

export function badReference(id: string, userId: string): Error {
  return refuse(
    400,
    'InvalidResourceReference',
    `Resource ${id} referenced by resource ${userId} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
  );
}

/** Changes with what it stands for, as Azure's entity tags of network resources do. */
export function etagOf(resource: unknown): string {
  return `W/"${createHash('sha256').update(JSON.stringify(resource)).digest('hex').slice(0, 32)}"`;
}

function missing(type: string, call: ArmCall): Error {
  return resourceNotFound(
    `Microsoft.Network/${type}/${parameterOf(call, 'name')}`,
    parameterOf(call, 'group'),
  );
}

function checkRules(rules: readonly SecurityRule[]): void {
  const taken = new Map<string, string>();
  for (const { name, properties } of rules) {
    const place = `${properties.direction} ${properties.priority}`;
    const other = taken.get(place);
    if (other !== undefined) {
      throw refuse(
        400,
        'SecurityRuleConflict',
        `Security rule ${name} conflicts with rule ${other}. Rules cannot have the same Priority and Direction.`,
      );
    }
    taken.set(place, name);
  }
}

function usersOf({ interfaces }: AzureState, { id }: SecurityGroup): string[] {
  const isIt = (other: string | null): boolean => other !== null && keyOf(other) === keyOf(id);
  return Object.values(interfaces).flatMap((nic) => (isIt(nic.securityGroupId) ? [nic.id] : []));
}

function describeGroup(state: AzureState, group: SecurityGroup): JsonObject {
  const describe = (rule: SecurityRule, kind: string): JsonObject => ({
    id: `${group.id}/${kind}/${rule.name}`,
    name: rule.name,
    etag: etagOf(rule),
    type: `Microsoft.Network/networkSecurityGroups/${kind}`,
    properties: { ...rule.properties, provisioningState: 'Succeeded' },
  });
  const networkInterfaces = usersOf(state, group).map((id) => ({ id }));
  return {
    id: group.id,
    name: group.name,
    etag: etagOf(group),
    type: 'Microsoft.Network/networkSecurityGroups',
    location: group.location,
    tags: group.tags as JsonObject,
    properties: {
      provisioningState: 'Succeeded',
      resourceGuid: group.resourceGuid,
      securityRules: group.rules.map((rule) => describe(rule, 'securityRules')),
      defaultSecurityRules: DEFAULT_RULES.map((rule) => describe(rule, 'defaultSecurityRules')),
      ...(networkInterfaces.length === 0 ? {} : { networkInterfaces }),
    },
  };
}

function describeNetwork(state: AzureState, network: VirtualNetwork): JsonObject {
  return {
    id: network.id,
    name: network.name,
    etag: etagOf(network),
    type: 'Microsoft.Network/virtualNetworks',
    location: network.location,
    tags: network.tags as JsonObject,
    properties: {
      provisioningState: 'Succeeded',
      addressSpace: { addressPrefixes: [...network.addressPrefixes] },
      subnets: network.subnets.map((subnet) => describeSubnet(state, network, subnet)),
    },
  };
}

function describeSubnet(
  { interfaces }: AzureState,
  network: VirtualNetwork,
  { name, addressPrefix }: VirtualNetwork['subnets'][number],
): JsonObject {
  const id = `${network.id}/subnets/${name}`;
  const users = Object.values(interfaces).flatMap((nic) =>
    nic.addresses
      .filter(({ subnetId }) => keyOf(subnetId) === keyOf(id))
      .map((address) => ({ id: `${nic.id}/ipConfigurations/${address.name}` })),
  );
  return {
    id,
    name,
    etag: etagOf({ name, addressPrefix }),
    type: 'Microsoft.Network/virtualNetworks/subnets',
    properties: {
      provisioningState: 'Succeeded',
      addressPrefix,
      privateEndpointNetworkPolicies: 'Disabled',
      privateLinkServiceNetworkPolicies: 'Enabled',
      ...(users.length === 0 ? {} : { ipConfigurations: users }),
    },
  };
}
