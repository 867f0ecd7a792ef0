/** Instance types that the sandbox knows: current x86-64 generations, all on Nitro. */
import { textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { ZONE_LETTERS, zoneIdOf } from './network-seed.ts';
import { cutPage, filterMembers, filterParameters, idsParameter, pageParameters } from './query.ts';
import { invalidValue, refuse } from './refusals.ts';

export type InstanceType = { name: string; vcpus: number; memoryMib: number; isBurstable: boolean };

const GIB_IN_MIB = 1024;

const BURSTABLE: readonly (readonly [size: string, memoryGib: number, vcpus: number])[] = [
  ['nano', 0.5, 2],
  ['micro', 1, 2],
  ['small', 2, 2],
  ['medium', 4, 2],
  ['large', 8, 2],
  ['xlarge', 16, 4],
  ['2xlarge', 32, 8],
];
const SIZES: readonly (readonly [size: string, vcpus: number])[] = [
  ['large', 2],
  ['xlarge', 4],
  ['2xlarge', 8],
  ['4xlarge', 16],
  ['8xlarge', 32],
  ['12xlarge', 48],
  ['16xlarge', 64],
  ['24xlarge', 96],
];
/** GiB per vCPU: general purpose 4, compute 2, memory 8. */
const FAMILIES: readonly (readonly [families: readonly string[], gibPerVcpu: number])[] = [
  [['m5', 'm5a', 'm6i', 'm6a', 'm7i', 'm7a'], 4],
  [['c5', 'c5a', 'c6i', 'c6a', 'c7i', 'c7a'], 2],
  [['r5', 'r5a', 'r6i', 'r6a', 'r7i', 'r7a'], 8],
];

const INSTANCE_TYPES: ReadonlyMap<string, InstanceType> = new Map(
  [...listBurstable(), ...listFixed()].map((type) => [type.name, type]),
);

/** Throws InvalidParameterValue in EC2's words. */
export function requireInstanceType(name: string): InstanceType {
  const type = INSTANCE_TYPES.get(name);
  if (type === undefined) throw refuse('InvalidParameterValue', `Invalid value '${name}' for InstanceType.`);
  return type;
}

export function instanceTypeActions({ region }: Ec2Desk): QueryActions {
  return {
    DescribeInstanceTypes: defineEc2Action(
      { InstanceType: idsParameter, ...filterParameters, ...pageParameters },
      (input) => {
        const page = cutPage({
          members: filterMembers({
            members: input.InstanceType?.map(requireDescribedType) ?? [...INSTANCE_TYPES.values()],
            filters: input.Filter,
            tags: null,
            fields: {
              'instance-type': (type) => type.name,
              'current-generation': () => 'true',
              'bare-metal': () => 'false',
              hypervisor: () => 'nitro',
              'burstable-performance-supported': (type) => String(type.isBurstable),
              'memory-info.size-in-mib': (type) => String(type.memoryMib),
              'vcpu-info.default-vcpus': (type) => String(type.vcpus),
              'processor-info.supported-architecture': () => ['x86_64'],
              'supported-boot-mode': () => ['legacy-bios', 'uefi'],
              'supported-virtualization-type': () => 'hvm',
              'supported-root-device-type': () => 'ebs',
              'network-info.ena-support': () => 'required',
            },
          }),
          orderOf: (type) => type.name,
          maxResults: input.MaxResults,
          nextToken: input.NextToken,
        });
        return { instanceTypeSet: page.members.map(describeType), nextToken: page.nextToken };
      },
    ),
    DescribeInstanceTypeOfferings: defineEc2Action(
      { LocationType: textParameter.optional(), ...filterParameters, ...pageParameters },
      (input) => {
        const locationType = input.LocationType ?? 'region';
        const locations = listLocations(locationType, region);
        const offerings = [...INSTANCE_TYPES.keys()].flatMap((instanceType) =>
          locations.map((location) => ({ instanceType, locationType, location })),
        );
        const page = cutPage({
          members: filterMembers({
            members: offerings,
            filters: input.Filter,
            tags: null,
            fields: {
              'instance-type': (offering) => offering.instanceType,
              location: (offering) => offering.location,
            },
          }),
          orderOf: (offering) => `${offering.instanceType} ${offering.location}`,
          maxResults: input.MaxResults,
          nextToken: input.NextToken,
        });
        return { instanceTypeOfferingSet: page.members, nextToken: page.nextToken };
      },
    ),
  };
}

function listBurstable(): InstanceType[] {
  return ['t3', 't3a'].flatMap((family) =>
    BURSTABLE.map(([size, memoryGib, vcpus]) => ({
      name: `${family}.${size}`,
      vcpus,
      memoryMib: memoryGib * GIB_IN_MIB,
      isBurstable: true,
    })),
  );
}

function listFixed(): InstanceType[] {
  return FAMILIES.flatMap(([families, gibPerVcpu]) =>
    families.flatMap((family) =>
      SIZES.map(([size, vcpus]) => ({
        name: `${family}.${size}`,
        vcpus,
        memoryMib: vcpus * gibPerVcpu * GIB_IN_MIB,
        isBurstable: false,
      })),
    ),
  );
}

function requireDescribedType(name: string): InstanceType {
  const type = INSTANCE_TYPES.get(name);
  if (type !== undefined) return type;
  throw refuse('InvalidInstanceType', `The following supplied instance types do not exist: [${name}]`);
}

function listLocations(locationType: string, region: string): string[] {
  const zones = ZONE_LETTERS.map((letter) => `${region}${letter}`);
  switch (locationType) {
    case 'region':
      return [region];
    case 'availability-zone':
      return zones;
    case 'availability-zone-id':
      return zones.map((zone) => zoneIdOf(zone, region));
    default:
      throw invalidValue('LocationType', locationType);
  }
}

function describeType({ name, vcpus, memoryMib, isBurstable }: InstanceType): XmlObject {
  return {
    instanceType: name,
    currentGeneration: true,
    freeTierEligible: name === 't3.micro',
    supportedUsageClasses: ['on-demand'],
    supportedRootDeviceTypes: ['ebs'],
    supportedVirtualizationTypes: ['hvm'],
    bareMetal: false,
    hypervisor: 'nitro',
    processorInfo: { supportedArchitectures: ['x86_64'], sustainedClockSpeedInGhz: 2.5 },
    vCpuInfo: { defaultVCpus: vcpus, defaultCores: Math.ceil(vcpus / 2), defaultThreadsPerCore: 2 },
    memoryInfo: { sizeInMiB: memoryMib },
    instanceStorageSupported: false,
    ebsInfo: {
      ebsOptimizedSupport: 'default',
      encryptionSupport: 'supported',
      nvmeSupport: 'required',
      maximumEbsAttachments: MAX_VOLUMES,
    },
    networkInfo: {
      networkPerformance: 'Up to 5 Gigabit',
      maximumNetworkInterfaces: 3,
      enaSupport: 'required',
    },
    hibernationSupported: false,
    burstablePerformanceSupported: isBurstable,
    dedicatedHostsSupported: false,
    autoRecoverySupported: true,
    supportedBootModes: ['legacy-bios', 'uefi'],
    nitroTpmSupport: 'supported',
    nitroTpmInfo: { supportedVersions: ['2.0'] },
  };
}

/** Nitro gives an instance 28 attachments, one of which is its network interface. */
export const MAX_VOLUMES = 27;
