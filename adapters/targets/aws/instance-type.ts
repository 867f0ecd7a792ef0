/**
 * The least instance type that has a machine's cpus and memory: burstable ones for the small, then the general families
 * with 2, 4 or 8 GiB a cpu. All are Nitro types that boot by BIOS and by UEFI.
 * https://docs.aws.amazon.com/ec2/latest/instancetypes/
 */
import { largestSize, leastSize, type MachineSize } from '../../../src/domain/machine-size.ts';

const BURSTABLE: readonly MachineSize[] = [
  { name: 't3.nano', cpus: 2, memoryGiB: 0.5 },
  { name: 't3.micro', cpus: 2, memoryGiB: 1 },
  { name: 't3.small', cpus: 2, memoryGiB: 2 },
  { name: 't3.medium', cpus: 2, memoryGiB: 4 },
];

const FAMILIES = [
  { family: 'c6i', memoryPerCpuGiB: 2 },
  { family: 'm6i', memoryPerCpuGiB: 4 },
  { family: 'r6i', memoryPerCpuGiB: 8 },
] as const;

const SIZES = [
  { size: 'large', cpus: 2 },
  { size: 'xlarge', cpus: 4 },
  { size: '2xlarge', cpus: 8 },
  { size: '4xlarge', cpus: 16 },
  { size: '8xlarge', cpus: 32 },
  { size: '12xlarge', cpus: 48 },
  { size: '16xlarge', cpus: 64 },
  { size: '24xlarge', cpus: 96 },
  { size: '32xlarge', cpus: 128 },
] as const;

const SIZED: readonly MachineSize[] = FAMILIES.flatMap(({ family, memoryPerCpuGiB }) =>
  SIZES.map(({ size, cpus }) => ({
    name: `${family}.${size}`,
    cpus,
    memoryGiB: cpus * memoryPerCpuGiB,
  })),
);

/** Of these families. */
export function largestType(): MachineSize | null {
  return largestSize(SIZED);
}

/** null where no type of these families is large enough: then the wave must name one. */
export function instanceTypeFor(machine: { cpus: number; memoryBytes: number }): string | null {
  return leastSize(machine, { burstable: BURSTABLE, general: SIZED })?.name ?? null;
}
