/**
 * Network interfaces: a private address in a subnet, under a security group.
 * https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { formatAddress, isReserved, isWithin, parseAddress, parseBlock } from '../ipv4.ts';
import { type ArmCall, answerArmJson, parameterOf, readBody, tagsSchema } from './arm-call.ts';
import { requireLocation } from './catalogue.ts';
import type { AzureDesk } from './cloud.ts';
import { listInGroup } from './disks.ts';
import { badReference, etagOf, requireSubnet } from './network.ts';
import { refuse, resourceNotFound } from './refusals.ts';
import { findById, keyOf } from './resource-id.ts';
import type { IpConfiguration, NetworkInterface } from './state.ts';

const reference = z.strictObject({ id: z.string() });

const interfaceSchema = z.strictObject({
  id: z.string().optional(),
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.strictObject({
    networkSecurityGroup: reference.optional(),
    enableAcceleratedNetworking: z.boolean().optional(),
    enableIPForwarding: z.boolean().optional(),
    disableTcpStateTracking: z.boolean().optional(),
    dnsSettings: z
      .strictObject({
        dnsServers: z.array(z.string()).optional(),
        internalDnsNameLabel: z.string().optional(),
      })
      .optional(),
    nicType: z.literal('Standard').optional(),
    auxiliaryMode: z.literal('None').optional(),
    auxiliarySku: z.literal('None').optional(),
    ipConfigurations: z
      .array(
        z.strictObject({
          name: z.string().min(1),
          id: z.string().optional(),
          properties: z.strictObject({
            subnet: reference,
            privateIPAddress: z.string().optional(),
            privateIPAllocationMethod: z.enum(['Static', 'Dynamic']).optional(),
            privateIPAddressVersion: z.literal('IPv4').optional(),
            primary: z.boolean().optional(),
          }),
        }),
      )
      .min(1),
  }),
});

type Wanted = z.output<typeof interfaceSchema>;
type WantedAddress = Wanted['properties']['ipConfigurations'][number];

export async function putInterface(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const wanted = readBody(interfaceSchema, call);
  const existing = findById(desk.store.read().interfaces, call.id);
  const nic = planInterface({ desk, call, wanted, existing });
  checkLinkedRights(desk, call, nic);
  await desk.store.update((state) => {
    // Meanwhile a machine may have taken it.
    const machineId = findById(state.interfaces, nic.id)?.machineId ?? null;
    state.interfaces[keyOf(nic.id)] = { ...nic, machineId };
  });
  const status = existing === undefined ? 201 : 200;
  return desk.operations.accept({
    call,
    kind: 'network',
    status,
    body: describe(nic),
    work: async () => null,
  });
}

export function getInterface({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const nic = findById(store.read().interfaces, call.id);
  if (nic === undefined) {
    const resource = `Microsoft.Network/networkInterfaces/${parameterOf(call, 'name')}`;
    throw resourceNotFound(resource, parameterOf(call, 'group'));
  }
  return answerArmJson(200, describe(nic));
}

export function listInterfaces({ store }: AzureDesk, call: ArmCall): HttpAnswer {
  const value = listInGroup(Object.values(store.read().interfaces), call).map(describe);
  return answerArmJson(200, { value });
}

export async function deleteInterface(desk: AzureDesk, call: ArmCall): Promise<HttpAnswer> {
  const nic = findById(desk.store.read().interfaces, call.id);
  if (nic === undefined) return { status: 204, headers: {}, body: { kind: 'empty' } };
  if (nic.machineId !== null) {
    throw refuse(
      400,
      'NicInUse',
      `Network Interface ${nic.id} is used by existing resource ${nic.machineId}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.`,
    );
  }
  await desk.store.update((state) => {
    delete state.interfaces[keyOf(nic.id)];
  });
  return desk.operations.accept({ call, kind: 'network', status: 202, work: async () => null });
}

function planInterface({
  desk,
  call,
  wanted: { location, tags = {}, properties },
  existing,
}: {
  desk: AzureDesk;
  call: ArmCall;
  wanted: Wanted;
  existing: NetworkInterface | undefined;
}): NetworkInterface {
  requireLocation(location);
  const group = properties.networkSecurityGroup?.id;
  if (group !== undefined && findById(desk.store.read().securityGroups, group) === undefined) {
    throw badReference(group, call.id);
  }
  const addresses: IpConfiguration[] = [];
  for (const each of properties.ipConfigurations) {
    addresses.push(planAddress({ desk, call, location, each, taken: addresses }));
  }
  if (addresses.every(({ primary }) => !primary)) Object.assign(addresses[0] ?? {}, { primary: true });
  return {
    id: existing?.id ?? call.id,
    name: existing?.name ?? parameterOf(call, 'name'),
    resourceGroup: parameterOf(call, 'group'),
    location,
    tags,
    resourceGuid: existing?.resourceGuid ?? randomUUID(),
    securityGroupId: group ?? null,
    addresses,
    acceleratedNetworking: properties.enableAcceleratedNetworking ?? false,
    mac: existing?.mac ?? `00-0D-3A-${[...randomBytes(3)].map(hex).join('-')}`,
    machineId: existing?.machineId ?? null,
  };
}

function planAddress({
  desk,
  call,
  location,
  each: { name, properties },
  taken,
}: {
  desk: AzureDesk;
  call: ArmCall;
  location: string;
  each: WantedAddress;
  taken: readonly IpConfiguration[];
}): IpConfiguration {
  const subnet = requireSubnet(desk, { subnetId: properties.subnet.id, userId: call.id });
  if (subnet.network.location !== location) throw badReference(properties.subnet.id, call.id);
  const allocation = properties.privateIPAllocationMethod ?? 'Dynamic';
  const others = Object.values(desk.store.read().interfaces).filter(({ id }) => keyOf(id) !== keyOf(call.id));
  const used = new Map<string, string>(
    others.flatMap((nic) =>
      nic.addresses
        .filter(({ subnetId }) => keyOf(subnetId) === keyOf(subnet.id))
        .map((held) => [held.address, `${nic.id}/ipConfigurations/${held.name}`] as const),
    ),
  );
  for (const held of taken) used.set(held.address, `${call.id}/ipConfigurations/${held.name}`);
  const own = findById(desk.store.read().interfaces, call.id)?.addresses.find((held) => held.name === name);
  const address =
    allocation === 'Static'
      ? checkStatic({ address: properties.privateIPAddress, subnet, used, userId: call.id })
      : keyOf(own?.subnetId ?? '') === keyOf(subnet.id)
        ? (own?.address ?? '')
        : pickAddress(subnet.addressPrefix, used);
  return { name, subnetId: subnet.id, address, allocation, primary: properties.primary ?? false };
}

function checkStatic({
  address,
  subnet,
  used,
  userId,
}: {
  address: string | undefined;
  subnet: { id: string; addressPrefix: string };
  used: ReadonlyMap<string, string>;
  userId: string;
}): string {
  if (address === undefined) {
    throw refuse(
      400,
      'PrivateIPAddressNotProvided',
      `Private static IP address is not specified for ${userId}.`,
    );
  }
  const value = parseAddress(address);
  const block = parseBlock(subnet.addressPrefix);
  if (value === null)
    throw refuse(400, 'InvalidIPAddressFormat', `Value '${address}' is not a valid IP address.`);
  if (block === null || !isWithin(block, value)) {
    throw refuse(
      400,
      'PrivateIPAddressNotInSubnet',
      `Private static IP address ${address} does not belong to the range of subnet prefix ${subnet.addressPrefix}.`,
    );
  }
  if (isReserved(block, value)) {
    throw refuse(
      400,
      'PrivateIPAddressInReservedRange',
      `Private static IP address ${address} falls within reserved IP range of subnet prefix ${subnet.addressPrefix}.`,
    );
  }
  const user = used.get(address);
  if (user !== undefined) {
    throw refuse(
      400,
      'PrivateIPAddressIsAllocated',
      `IP configuration ${userId} is using the private IP address ${address} which is already allocated to resource ${user}.`,
    );
  }
  return address;
}

function pickAddress(prefix: string, used: ReadonlyMap<string, string>): string {
  const block = parseBlock(prefix);
  for (let offset = 4; block !== null && offset < block.size - 1; offset++) {
    const address = formatAddress(block.first + offset);
    if (!used.has(address)) return address;
  }
  throw refuse(
    400,
    'SubnetIsFull',
    `Subnet with address prefix ${prefix} does not have enough capacity for 1 IP addresses.`,
  );
}

/** https://learn.microsoft.com/azure/role-based-access-control/permissions/networking: to use a thing wants a right of its own. */
function checkLinkedRights({ rights }: AzureDesk, call: ArmCall, nic: NetworkInterface): void {
  const asked = { action: 'Microsoft.Network/networkInterfaces/write', scope: call.id };
  for (const { subnetId } of nic.addresses) {
    const linked = 'Microsoft.Network/virtualNetworks/subnets/join/action';
    rights.requireLinked({ ...asked, linked, linkedScope: subnetId });
  }
  if (nic.securityGroupId !== null) {
    const linked = 'Microsoft.Network/networkSecurityGroups/join/action';
    rights.requireLinked({ ...asked, linked, linkedScope: nic.securityGroupId });
  }
}

function describe(nic: NetworkInterface): JsonObject {
  const etag = etagOf(nic);
  return {
    id: nic.id,
    name: nic.name,
    etag,
    type: 'Microsoft.Network/networkInterfaces',
    location: nic.location,
    tags: nic.tags as JsonObject,
    properties: {
      provisioningState: 'Succeeded',
      resourceGuid: nic.resourceGuid,
      ipConfigurations: nic.addresses.map((address) => ({
        id: `${nic.id}/ipConfigurations/${address.name}`,
        name: address.name,
        etag,
        type: 'Microsoft.Network/networkInterfaces/ipConfigurations',
        properties: {
          provisioningState: 'Succeeded',
          privateIPAddress: address.address,
          privateIPAllocationMethod: address.allocation,
          privateIPAddressVersion: 'IPv4',
          primary: address.primary,
          subnet: { id: address.subnetId },
        },
      })),
      dnsSettings: { dnsServers: [], appliedDnsServers: [] },
      enableAcceleratedNetworking: nic.acceleratedNetworking,
      enableIPForwarding: false,
      macAddress: nic.machineId === null ? '' : nic.mac,
      nicType: 'Standard',
      ...(nic.securityGroupId === null ? {} : { networkSecurityGroup: { id: nic.securityGroupId } }),
      ...(nic.machineId === null ? {} : { virtualMachine: { id: nic.machineId } }),
    },
  };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0').toUpperCase();
}
