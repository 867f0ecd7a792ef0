/**
 * The least size that has a machine's cpus and memory, and takes its disks: burstable ones for the small, then the general
 * series with 2, 4 or 8 GiB a cpu. All boot generation 1 and 2, and take disks of every type.
 * https://learn.microsoft.com/azure/virtual-machines/sizes/overview
 */
import { leastSize, type MachineSize } from '../../../src/domain/machine-size.ts';

export type VmSize = MachineSize & { dataDisks: number };

const BURSTABLE: readonly VmSize[] = [
  { name: 'Standard_B1s', cpus: 1, memoryGiB: 1, dataDisks: 2 },
  { name: 'Standard_B1ms', cpus: 1, memoryGiB: 2, dataDisks: 2 },
  { name: 'Standard_B2s', cpus: 2, memoryGiB: 4, dataDisks: 4 },
  { name: 'Standard_B2ms', cpus: 2, memoryGiB: 8, dataDisks: 4 },
];

const SERIES = [
  { prefix: 'Standard_F', suffix: 's_v2', memoryPerCpuGiB: 2 },
  { prefix: 'Standard_D', suffix: 's_v5', memoryPerCpuGiB: 4 },
  { prefix: 'Standard_E', suffix: 's_v5', memoryPerCpuGiB: 8 },
] as const;

const CPUS = [2, 4, 8, 16, 32, 48, 64] as const;
const MAX_DATA_DISKS = 32;

const GENERAL: readonly VmSize[] = SERIES.flatMap(({ prefix, suffix, memoryPerCpuGiB }) =>
  CPUS.map((cpus) => ({
    name: `${prefix}${cpus}${suffix}`,
    cpus,
    memoryGiB: cpus * memoryPerCpuGiB,
    dataDisks: Math.min(MAX_DATA_DISKS, cpus * 2),
  })),
);

type Wanted = { cpus: number; memoryBytes: number; disks: readonly unknown[] };

/** null where no size of these series is large enough: then the wave must name one. */
export function sizeFor(machine: Wanted): VmSize | null {
  const takesDisks = ({ dataDisks }: VmSize): boolean => dataDisks >= machine.disks.length - 1;
  return leastSize(machine, {
    burstable: BURSTABLE.filter(takesDisks),
    general: GENERAL.filter(takesDisks),
  });
}
