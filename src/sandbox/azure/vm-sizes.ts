/** Sizes of virtual machines that the sandbox's region sells: current x86-64 series without GPUs and local disks. */

export type VmSize = {
  name: string;
  family: string;
  vcpus: number;
  memoryGib: number;
  maxDataDisks: number;
  generations: readonly ('V1' | 'V2')[];
  hasPremiumDisks: boolean;
};

const BURSTABLE: readonly (readonly [size: string, vcpus: number, memoryGib: number, disks: number])[] = [
  ['B1s', 1, 1, 2],
  ['B1ms', 1, 2, 2],
  ['B2s', 2, 4, 4],
  ['B2ms', 2, 8, 4],
  ['B4ms', 4, 16, 8],
  ['B8ms', 8, 32, 16],
];
const VCPUS: readonly number[] = [2, 4, 8, 16, 32, 48, 64];
/** GiB per vCPU: general purpose 4, memory 8, compute 2. */
const SERIES: readonly (readonly [prefix: string, suffix: string, family: string, gibPerVcpu: number])[] = [
  ['D', 's_v5', 'standardDSv5Family', 4],
  ['D', 'as_v5', 'standardDASv5Family', 4],
  ['E', 's_v5', 'standardESv5Family', 8],
  ['E', 'as_v5', 'standardEASv5Family', 8],
  ['F', 's_v2', 'standardFSv2Family', 2],
];
const MAX_DATA_DISKS = 32;

export const VM_SIZES: ReadonlyMap<string, VmSize> = new Map(
  [...listBurstable(), ...listSeries(), confidential()].map((size) => [size.name.toLowerCase(), size]),
);

export function findVmSize(name: string): VmSize | undefined {
  return VM_SIZES.get(name.toLowerCase());
}

function listBurstable(): VmSize[] {
  return BURSTABLE.map(([size, vcpus, memoryGib, maxDataDisks]) => ({
    name: `Standard_${size}`,
    family: 'standardBSFamily',
    vcpus,
    memoryGib,
    maxDataDisks,
    generations: ['V1', 'V2'],
    hasPremiumDisks: true,
  }));
}

function listSeries(): VmSize[] {
  return SERIES.flatMap(([prefix, suffix, family, gibPerVcpu]) =>
    VCPUS.map((vcpus) => ({
      name: `Standard_${prefix}${vcpus}${suffix}`,
      family,
      vcpus,
      memoryGib: vcpus * gibPerVcpu,
      maxDataDisks: Math.min(MAX_DATA_DISKS, vcpus * 2),
      generations: ['V1', 'V2'] as const,
      hasPremiumDisks: true,
    })),
  );
}

/** One that boots generation 2 only. */
function confidential(): VmSize {
  return {
    name: 'Standard_DC2s_v3',
    family: 'standardDCSv3Family',
    vcpus: 2,
    memoryGib: 16,
    maxDataDisks: 4,
    generations: ['V2'],
    hasPremiumDisks: true,
  };
}
