/**
 * Do the quotas suffice for all machines of the wave?
 * https://learn.microsoft.com/azure/quotas/per-vm-quota-requests
 */
import { failed, lookIfAllowed } from '../../../src/domain/finding.ts';
import type { Finding, PlannedMachine } from '../../../src/domain/ports.ts';
import type { Azure } from './clients.ts';
import { ask } from './errors.ts';
import { machineOptions } from './options.ts';
import { looking } from './preflight-account.ts';
import type { Skus } from './skus.ts';
import { sizeFor } from './vm-size.ts';

/** Names of usages by the beginning of a disk type's name, longest first. */
const DISK_USAGES = [
  ['StandardSSD', 'StandardSSDDiskCount'],
  ['Standard', 'StandardDiskCount'],
  ['Premium', 'PremiumDiskCount'],
] as const;

export async function checkQuotas(
  azure: Azure,
  { machines, skus }: { machines: readonly PlannedMachine[]; skus: Skus | null },
  signal: AbortSignal,
): Promise<Finding[]> {
  const { location } = azure.options;
  const needed = countNeeded(azure, machines, skus);
  const subject = `quotas in ${location}`;
  return lookIfAllowed({ subject, signal }, async () => {
    const call = looking('quotas', 'Microsoft.Compute/locations/usages/read', location);
    const usages = await ask(call, () =>
      Array.fromAsync(azure.compute.usage.list(location, { abortSignal: signal })),
    );
    return usages.flatMap(({ name, currentValue = 0, limit = 0 }) => {
      const wanted = needed.get(name?.value?.toLowerCase() ?? '') ?? 0;
      if (wanted === 0 || currentValue + wanted <= limit) return [];
      const message = `the wave needs ${wanted} of ${name?.localizedValue ?? name?.value}; ${currentValue} of ${limit} are used`;
      return [failed(subject, message, 'Have the quota raised, free some, or move fewer machines.')];
    });
  });
}

/** By the names of usages in lower case. */
function countNeeded(
  { options }: Azure,
  machines: readonly PlannedMachine[],
  skus: Skus | null,
): ReadonlyMap<string, number> {
  const needed = new Map<string, number>();
  const need = (name: string, count: number): void => {
    const key = name.toLowerCase();
    needed.set(key, (needed.get(key) ?? 0) + count);
  };
  for (const { machine, wave } of machines) {
    const to = machineOptions(wave.to);
    const name = (to.size ?? sizeFor(machine)?.name ?? '').toLowerCase();
    const size = skus?.sizes.get(name);
    need('virtualMachines', 1);
    need('cores', size?.cpus ?? machine.cpus);
    if (size !== undefined) need(size.family, size.cpus);
    const diskType = to.diskType ?? options.diskType;
    const usage = DISK_USAGES.find(([start]) => diskType.startsWith(start));
    if (usage !== undefined) need(usage[1], machine.disks.length);
  }
  return needed;
}
