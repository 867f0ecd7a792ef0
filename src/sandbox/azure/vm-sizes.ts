/** Sizes of virtual machines that the sandbox's region sells: current series without GPUs and local disks, and some that lack something. */

export type VmSize = {
  name: string;
  family: string;
  vcpus: number;
  memoryGib: number;
  maxDataDisks: number;
  generations: readonly ('V1' | 'V2')[];
  hasPremiumDisks: boolean;
  hasTrustedLaunch: boolean;
  architecture: 'x64' | 'Arm64';
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
/** What sizes have unless it is said otherwise. */
const COMMON = {
  generations: ['V1', 'V2'],
  hasPremiumDisks: true,
  hasTrustedLaunch: true,
  architecture: 'x64',
} as const;

export const VM_SIZES: ReadonlyMap<string, VmSize> = new Map(
  [...listBurstable(), ...listSeries(), ...listSpecial()].map((size) => [size.name.toLowerCase(), size]),
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
    ...COMMON,
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
      ...COMMON,
    })),
  );
}

/** Each lacks one thing: generation 1; Premium disks; Trusted Launch; processors of x86-64. */
function listSpecial(): VmSize[] {
  const special = (
    name: string,
    traits: Pick<VmSize, 'family' | 'vcpus' | 'memoryGib'> & Partial<VmSize>,
  ) => ({
    ...COMMON,
    maxDataDisks: 4,
    ...traits,
    name: `Standard_${name}`,
  });
  return [
    special('DC2s_v3', { family: 'standardDCSv3Family', vcpus: 2, memoryGib: 16, generations: ['V2'] }),
    special('A2_v2', { family: 'standardAv2Family', vcpus: 2, memoryGib: 4, hasPremiumDisks: false }),
    special('M8ms', { family: 'standardMSFamily', vcpus: 8, memoryGib: 218.75, hasTrustedLaunch: false }),
    special('D2ps_v5', {
      family: 'standardDPSv5Family',
      vcpus: 2,
      memoryGib: 8,
      generations: ['V2'],
      architecture: 'Arm64',
    }),
  ];
}
