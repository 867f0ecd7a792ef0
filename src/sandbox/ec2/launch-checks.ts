/** Whether there is room for a launch, and whether what is launched can boot at all. Pure; throws EC2's refusals. */
import type { Ec2Limits } from './cloud.ts';
import { type InstanceType, requireInstanceType } from './instance-types.ts';
import type { RunInput } from './launch-parameters.ts';
import { refuse } from './refusals.ts';
import { type Ec2State, type MachineImage, usesCapacity } from './state.ts';

/** A sandbox is no place for fleets. */
const MAX_COUNT = 50;

/** Nitro types run hvm images of their architecture that know ENA; nothing else boots there. */
export function checkBootable(image: MachineImage, { name }: InstanceType): void {
  if (image.architecture !== 'x86_64') {
    throw refuse(
      'InvalidParameterValue',
      `The architecture 'x86_64' of the specified instance type does not match the architecture '${image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.`,
    );
  }
  if (image.virtualizationType !== 'hvm') {
    throw refuse(
      'InvalidParameterCombination',
      `Virtualization type 'hvm' is required for instances of type '${name}'. Ensure that you are using an AMI with virtualization type 'hvm'.`,
    );
  }
  if (!image.enaSupport) {
    throw refuse(
      'InvalidParameterCombination',
      `Enhanced networking with the Elastic Network Adapter (ENA) is required for the '${name}' instance type. Ensure that you are using an AMI that is enabled for ENA.`,
    );
  }
}

export function readCount({ MinCount: min, MaxCount: max }: RunInput): number {
  if (min < 1 || max < min) {
    throw refuse('InvalidParameterValue', `Value (${min}..${max}) for parameter instanceCount is invalid.`);
  }
  if (min > MAX_COUNT) {
    throw refuse(
      'InstanceLimitExceeded',
      `You have requested more instances (${min}) than your current instance limit of ${MAX_COUNT} allows.`,
    );
  }
  return Math.min(max, MAX_COUNT);
}

export function checkCapacity({
  limits,
  state,
  type,
  count,
  zone,
}: {
  limits: Ec2Limits;
  state: Ec2State;
  type: InstanceType;
  count: number;
  zone: string;
}): void {
  checkVcpuQuota({ state, added: type.vcpus * count, limit: limits.vcpus });
  if (!limits.exhaustedTypes.includes(type.name)) return;
  throw refuse(
    'InsufficientInstanceCapacity',
    `We currently do not have sufficient ${type.name} capacity in the Availability Zone you requested (${zone}). Our system will be working on provisioning additional capacity.`,
    500,
  );
}

/** Throws VcpuLimitExceeded. */
export function checkVcpuQuota({
  state,
  added,
  limit,
}: {
  state: Readonly<Ec2State>;
  added: number;
  limit: number;
}): void {
  const used = Object.values(state.instances)
    .filter(usesCapacity)
    .reduce((sum, { instanceType }) => sum + requireInstanceType(instanceType).vcpus, 0);
  if (used + added <= limit) return;
  throw refuse(
    'VcpuLimitExceeded',
    `You have requested more vCPU capacity than your current vCPU limit of ${limit} allows for the instance bucket that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.`,
  );
}
