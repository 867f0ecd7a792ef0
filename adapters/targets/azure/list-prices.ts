/**
 * What stands in a resource group costs by the month, at list price: for eyes, so that leftovers are not forgotten. US
 * dollars, as https://azure.microsoft.com/pricing/details/managed-disks/ had them in January 2025 for East US; of other
 * locations, of disks that are redundant across zones and of standard hard disks nothing is said. Transactions, and what a
 * subscription has agreed on, are not in it.
 */
import type { MadeByEntry } from '../../../src/domain/ports.ts';
import { type AzureOptions, machineOptions } from './options.ts';

const LOCATION = 'eastus';
const GIB = 2 ** 30;
/** A disk costs what the next larger of these sizes does, however much of it is used. */
const TIERS_GIB = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] as const;
/** Of the same sizes. */
const TIER_PRICES: Readonly<Record<string, readonly number[]>> = {
  StandardSSD_LRS: TIERS_GIB.map((gib) => gib * 0.075),
  Premium_LRS: [0.6, 1.2, 2.4, 5.28, 10.21, 19.71, 38.02, 73.22, 135.17, 259.05, 495.57],
};
/** Of what is used of a disk, as locally redundant. */
const SNAPSHOT_GIB_MONTH = 0.05;

/** null: not known. A virtual machine is: whether it runs is not in the ledger. */
export function monthlyPrice(
  { location, diskType }: Pick<AzureOptions, 'location' | 'diskType'>,
  { entry, to, disks }: MadeByEntry,
): number | null {
  const [name = '', id] = entry.thing.split(':');
  const disk = disks.find((each) => each.id === id);
  switch (name) {
    case 'quarantine':
    case 'admission':
    case 'network-interface':
      return 0;
    case 'disk':
      return location !== LOCATION || disk === undefined
        ? null
        : tierPrice(machineOptions(to).diskType ?? diskType, disk.bytes);
    case 'snapshot':
      if (location !== LOCATION || disk === undefined || disk.dataBytes === null) return null;
      return (disk.dataBytes / GIB) * SNAPSHOT_GIB_MONTH;
    default:
      return null;
  }
}

function tierPrice(diskType: string, bytes: number): number | null {
  const tier = TIERS_GIB.findIndex((gib) => bytes <= gib * GIB);
  return TIER_PRICES[diskType]?.[tier] ?? null;
}
