/** What can be asked before anything is made: resource groups, regions, skus, quotas in use, and one's own rights. */
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { type ArmCall, answerArmJson, parameterOf } from './arm-call.ts';
import type { AzureCloud, AzureDesk, AzureLimits } from './cloud.ts';
import { invalidParameter, notAllowed, refuse } from './refusals.ts';
import { findById, groupId } from './resource-id.ts';
import type { ManagedDisk, ResourceGroup } from './state.ts';
import { findVmSize, VM_SIZES, type VmSize } from './vm-sizes.ts';

const ZONES = ['1', '2', '3'];
/** Regions that exist; everything of the sandbox is in one of them. */
const LOCATIONS: Readonly<Record<string, string>> = {
  westeurope: 'West Europe',
  northeurope: 'North Europe',
  germanywestcentral: 'Germany West Central',
  eastus: 'East US',
  westus2: 'West US 2',
};
/** Each has a quota of its own. */
const DISK_TIERS = ['Standard', 'StandardSSD', 'Premium'] as const;
const DISK_SKUS: Readonly<Record<string, number>> = {
  Standard_LRS: 32_767,
  StandardSSD_LRS: 32_767,
  Premium_LRS: 32_767,
  StandardSSD_ZRS: 32_767,
  Premium_ZRS: 32_767,
};

export function getSubscription({ account }: AzureDesk): HttpAnswer {
  const { subscriptionId, tenantId } = account;
  const id = `/subscriptions/${subscriptionId}`;
  return answerArmJson(200, {
    id,
    subscriptionId,
    tenantId,
    displayName: 'Landfall sandbox',
    state: 'Enabled',
  });
}

export function listLocations({ account }: AzureDesk): HttpAnswer {
  const value = Object.entries(LOCATIONS).map(([name, displayName]) => ({
    id: `/subscriptions/${account.subscriptionId}/locations/${name}`,
    name,
    displayName,
    type: 'Region',
    regionalDisplayName: displayName,
    metadata: { regionType: 'Physical', regionCategory: 'Recommended' },
  }));
  return answerArmJson(200, { value });
}

export function getGroup({ store, account }: AzureDesk, call: ArmCall): HttpAnswer {
  const name = parameterOf(call, 'group');
  const group = requireGroup(store.read().groups, account.subscriptionId, name);
  return answerArmJson(200, describeGroup(group));
}

/** HEAD: 204 where it is, 404 without a body where it is not. */
export function checkGroup({ store, account }: AzureDesk, call: ArmCall): HttpAnswer {
  const id = groupId(account.subscriptionId, parameterOf(call, 'group'));
  const isThere = findById(store.read().groups, id) !== undefined;
  return { status: isThere ? 204 : 404, headers: {}, body: { kind: 'empty' } };
}

export function listGroups({ store }: AzureDesk): HttpAnswer {
  return answerArmJson(200, { value: Object.values(store.read().groups).map(describeGroup) });
}

/** Throws ResourceGroupNotFound. */
export function requireGroup(
  groups: Readonly<Record<string, ResourceGroup>>,
  subscriptionId: string,
  name: string,
): ResourceGroup {
  const group = findById(groups, groupId(subscriptionId, name));
  if (group !== undefined) return group;
  throw refuse(404, 'ResourceGroupNotFound', `Resource group '${name}' could not be found.`);
}

export function listPermissions({ rights }: AzureDesk): HttpAnswer {
  const { actions, notActions } = rights.read();
  const value = [{ actions: [...actions], notActions: [...notActions], dataActions: [], notDataActions: [] }];
  return answerArmJson(200, { value });
}

/** `$filter` knows one form: `location eq 'westeurope'`. */
export function listSkus({ limits, location }: AzureDesk, { http }: ArmCall): HttpAnswer {
  const filter = http.query.get('$filter');
  const wanted = filter === null ? location : /^location eq '([^']+)'$/.exec(filter)?.[1];
  if (wanted === undefined) throw refuse(400, 'BadRequest', `Invalid filter '${filter}'.`);
  if (wanted.toLowerCase() !== location) return answerArmJson(200, { value: [] });
  const sizes = [...VM_SIZES.values()].map((size) => describeSize(size, location, limits));
  const diskTypes = Object.entries(DISK_SKUS).filter(([name]) => !limits.missingDiskTypes.includes(name));
  const disks = diskTypes.map(([name, maxGib]) => ({
    resourceType: 'disks',
    name,
    tier: name.split('_')[0] ?? '',
    locations: [location],
    locationInfo: [{ location, zones: ZONES }],
    capabilities: [{ name: 'MaxSizeGiB', value: String(maxGib) }],
    restrictions: [],
  }));
  return answerArmJson(200, { value: [...sizes, ...disks] });
}

export function listUsages(desk: AzureDesk, call: ArmCall): HttpAnswer {
  requireLocation(parameterOf(call, 'location'));
  const { limits } = desk;
  const inUse = countCores(desk);
  const families = [...new Set([...VM_SIZES.values()].map(({ family }) => family))];
  const value = [
    usage('cores', 'Total Regional vCPUs', inUse.total, limits.cores),
    usage('virtualMachines', 'Virtual Machines', inUse.machines, limits.machines),
    ...DISK_TIERS.map((tier) =>
      usage(`${tier}DiskCount`, `${tier} Storage Managed Disks`, countDisks(desk, tier), limits.disks),
    ),
    ...families.map((family) =>
      usage(family, family, inUse.byFamily[family] ?? 0, limits.familyCores[family] ?? limits.cores),
    ),
  ];
  return answerArmJson(200, { value });
}

/** Throws LocationNotAvailableForResourceType. */
export function requireLocation(location: string): void {
  if (Object.hasOwn(LOCATIONS, location.toLowerCase().replaceAll(' ', ''))) return;
  throw refuse(
    400,
    'LocationNotAvailableForResourceType',
    `The provided location '${location}' is not available for the resource type. List of available regions for the resource type is '${Object.keys(LOCATIONS).join(',')}'.`,
  );
}

/** Throws a Refusal where a disk of this kind cannot be made, or no more of them. */
export function checkDiskRequest(cloud: AzureCloud, { location, sku, zones }: ManagedDisk): void {
  const { limits } = cloud;
  requireLocation(location);
  if (!Object.hasOwn(DISK_SKUS, sku) || limits.missingDiskTypes.includes(sku)) {
    throw invalidParameter('sku.name', `The requested disk sku '${sku}' is invalid.`);
  }
  checkZones(zones, location);
  if (zones.length > 0 && sku.endsWith('_ZRS')) {
    throw invalidParameter(
      'zones',
      `The zones property cannot be specified for a resource with zone redundant storage account type '${sku}'.`,
    );
  }
  const tier = tierOf(sku);
  const held = countDisks(cloud, tier);
  if (held >= limits.disks) {
    throw notAllowed(
      `Operation could not be completed as it results in exceeding approved ${tier}DiskCount quota. Current Limit: ${limits.disks}, Current Usage: ${held}.`,
    );
  }
}

function countDisks({ store }: AzureCloud, tier: string): number {
  return Object.values(store.read().disks).filter(({ sku }) => tierOf(sku) === tier).length;
}

/** `StandardSSD` of StandardSSD_LRS. */
function tierOf(sku: string): string {
  return sku.split('_')[0] ?? '';
}

export function checkZones(zones: readonly string[], location: string): void {
  const unknown = zones.find((zone) => !ZONES.includes(zone));
  if (unknown === undefined) return;
  throw refuse(
    400,
    'InvalidAvailabilityZone',
    `The zone(s) '${unknown}' for resource is not supported. The supported zones for location '${location}' are '${ZONES.join(',')}'`,
  );
}

/** Throws InvalidParameter, SkuNotAvailable, or OperationNotAllowed where a quota would be exceeded. */
export function requireSize(cloud: AzureCloud, name: string): VmSize {
  const { limits, location } = cloud;
  const size = findVmSize(name);
  if (size === undefined) {
    throw invalidParameter(
      'vmSize',
      `The value ${name} provided for the VM size is not valid. The valid sizes in the current region are: ${[...VM_SIZES.values()].map((each) => each.name).join(', ')}.`,
    );
  }
  if (limits.exhaustedSizes.some((exhausted) => exhausted.toLowerCase() === name.toLowerCase())) {
    throw refuse(
      409,
      'SkuNotAvailable',
      `The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: ${name}' is currently not available in location '${location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details.`,
    );
  }
  const inUse = countCores(cloud);
  checkQuota({
    what: 'Total Regional Cores',
    inUse: inUse.total,
    wanted: size.vcpus,
    limit: limits.cores,
    location,
  });
  checkQuota({
    what: `${size.family} Cores`,
    inUse: inUse.byFamily[size.family] ?? 0,
    wanted: size.vcpus,
    limit: limits.familyCores[size.family] ?? limits.cores,
    location,
  });
  return size;
}

/** Throws OperationNotAllowed. */
export function checkMachineQuota({ store, limits, location }: AzureCloud): void {
  const inUse = Object.keys(store.read().machines).length;
  checkQuota({ what: 'Virtual Machines', inUse, wanted: 1, limit: limits.machines, location });
}

function checkQuota({
  what,
  inUse,
  wanted,
  limit,
  location,
}: {
  what: string;
  inUse: number;
  wanted: number;
  limit: number;
  location: string;
}): void {
  if (inUse + wanted <= limit) return;
  throw notAllowed(
    `Operation could not be completed as it results in exceeding approved ${what} quota. Additional details - Deployment Model: Resource Manager, Location: ${location}, Current Limit: ${limit}, Current Usage: ${inUse}, Additional Required: ${wanted}, (Minimum) New Limit Required: ${inUse + wanted}.`,
  );
}

function countCores({ store }: AzureCloud): {
  total: number;
  machines: number;
  byFamily: Readonly<Record<string, number>>;
} {
  const machines = Object.values(store.read().machines);
  const byFamily: Record<string, number> = {};
  let total = 0;
  for (const { size, power } of machines) {
    const { vcpus = 0, family = '' } = findVmSize(size) ?? {};
    if (power === 'deallocated') continue;
    total += vcpus;
    byFamily[family] = (byFamily[family] ?? 0) + vcpus;
  }
  return { total, machines: machines.length, byFamily };
}

function describeGroup({ id, name, location, tags }: ResourceGroup): JsonObject {
  const type = 'Microsoft.Resources/resourceGroups';
  return {
    id,
    name,
    type,
    location,
    tags: tags as JsonObject,
    properties: { provisioningState: 'Succeeded' },
  };
}

function describeSize(size: VmSize, location: string, limits: AzureLimits): JsonObject {
  const isExhausted = limits.exhaustedSizes.some((name) => name.toLowerCase() === size.name.toLowerCase());
  const zones = limits.closedZones[size.name];
  const restrictions: JsonObject[] = [
    ...(isExhausted ? [{ type: 'Location', restrictionInfo: { locations: [location] } }] : []),
    ...(zones === undefined
      ? []
      : [{ type: 'Zone', restrictionInfo: { locations: [location], zones: [...zones] } }]),
  ];
  const capabilities = {
    vCPUs: size.vcpus,
    vCPUsAvailable: size.vcpus,
    MemoryGB: size.memoryGib,
    MaxDataDiskCount: size.maxDataDisks,
    HyperVGenerations: size.generations.join(','),
    CpuArchitectureType: size.architecture,
    PremiumIO: size.hasPremiumDisks ? 'True' : 'False',
    AcceleratedNetworkingEnabled: 'True',
    TrustedLaunchDisabled: size.hasTrustedLaunch ? 'False' : 'True',
    EncryptionAtHostSupported: 'True',
    MaxNetworkInterfaces: 2,
  };
  return {
    resourceType: 'virtualMachines',
    name: size.name,
    tier: 'Standard',
    size: size.name.replace(/^Standard_/, ''),
    family: size.family,
    locations: [location],
    locationInfo: [{ location, zones: ZONES, zoneDetails: [] }],
    capabilities: Object.entries(capabilities).map(([name, value]) => ({ name, value: String(value) })),
    restrictions: restrictions.map((restriction) => ({
      ...restriction,
      values: [location],
      reasonCode: 'NotAvailableForSubscription',
    })),
  };
}

function usage(value: string, localizedValue: string, currentValue: number, limit: number): JsonObject {
  return { unit: 'Count', currentValue, limit, name: { value, localizedValue } };
}
