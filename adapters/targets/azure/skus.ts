/**
 * What Azure sells in the location: sizes of virtual machines, and types of disks.
 * https://learn.microsoft.com/rest/api/compute/resource-skus/list
 */
import type { ResourceSku } from '@azure/arm-compute';
import { lookIfAllowed } from '../../../src/domain/finding.ts';
import type { MachineSize } from '../../../src/domain/machine-size.ts';
import type { Finding } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { ask } from './errors.ts';
import { looking } from './preflight-account.ts';

export type SoldSize = MachineSize & {
  family: string;
  dataDisks: number;
  generations: readonly string[];
  isX64: boolean;
  takesPremium: boolean;
  takesTrustedLaunch: boolean;
  /** Where it may be used; empty where the location has no zones. */
  zones: readonly string[];
  /** Is it sold to this subscription? */
  isSold: boolean;
};

export type Skus = {
  /** By name in lower case. */
  sizes: ReadonlyMap<string, SoldSize>;
  diskTypes: ReadonlySet<string>;
};

/** null where we may not ask: then a finding says so, and pre-flight goes on. */
export async function readSkus(
  azure: Azure,
  signal: AbortSignal,
): Promise<{ skus: Skus | null; findings: Finding[] }> {
  const { location } = azure.options;
  let skus: Skus | null = null;
  const subject = `sizes in ${location}`;
  const findings = await lookIfAllowed({ subject, signal }, async () => {
    skus = await listSkus(azure, signal);
    return [];
  });
  return { skus, findings };
}

async function listSkus(azure: Azure, signal: AbortSignal): Promise<Skus> {
  const { location } = azure.options;
  const sizes = new Map<string, SoldSize>();
  const diskTypes = new Set<string>();
  await ask(looking('sizes', 'Microsoft.Compute/skus/read', location), async () => {
    const listed = azure.compute.resourceSkus.list({
      filter: `location eq '${location}'`,
      abortSignal: signal,
    });
    for await (const sku of listed) {
      const { resourceType, name = '' } = sku;
      if (resourceType === 'virtualMachines') sizes.set(name.toLowerCase(), readSize(sku, location));
      else if (resourceType === 'disks') diskTypes.add(name);
    }
  });
  return { sizes, diskTypes };
}

function readSize(sku: ResourceSku, location: string): SoldSize {
  const capability = (wanted: string): string =>
    sku.capabilities?.find(({ name }) => name === wanted)?.value ?? '';
  const restrictions = sku.restrictions ?? [];
  const place = sku.locationInfo?.find((info) => info.location?.toLowerCase() === location);
  const closed = restrictions
    .filter(({ type }) => type === 'Zone')
    .flatMap(({ restrictionInfo }) => restrictionInfo?.zones ?? []);
  return {
    name: sku.name ?? '',
    family: sku.family ?? '',
    cpus: Number(capability('vCPUs')),
    memoryGiB: Number(capability('MemoryGB')),
    dataDisks: Number(capability('MaxDataDiskCount')),
    generations: capability('HyperVGenerations').split(','),
    isX64: capability('CpuArchitectureType') !== 'Arm64',
    takesPremium: capability('PremiumIO') === 'True',
    takesTrustedLaunch: capability('TrustedLaunchDisabled') !== 'True',
    zones: (place?.zones ?? []).filter((zone) => !closed.includes(zone)),
    isSold: !restrictions.some(({ type }) => type === 'Location'),
  };
}
