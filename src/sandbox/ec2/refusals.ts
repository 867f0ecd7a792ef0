/**
 * EC2's refusals, in its own words, and the ids that they speak of.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 */
import { randomBytes } from 'node:crypto';
import { Refusal } from '../refusal.ts';

export type ResourceKind =
  | 'image'
  | 'instance'
  | 'snapshot'
  | 'volume'
  | 'group'
  | 'subnet'
  | 'vpc'
  | 'interface'
  | 'import-snapshot'
  | 'import-image';

type Naming = {
  prefix: string;
  notFound: readonly [code: string, message: (id: string) => string];
  malformed: readonly [code: string, message: (id: string) => string];
};

const NAMING: Readonly<Record<ResourceKind, Naming>> = {
  image: {
    prefix: 'ami',
    notFound: ['InvalidAMIID.NotFound', (id) => `The image id '[${id}]' does not exist`],
    malformed: ['InvalidAMIID.Malformed', (id) => `Invalid id: "${id}" (expecting "ami-...")`],
  },
  instance: {
    prefix: 'i',
    notFound: ['InvalidInstanceID.NotFound', (id) => `The instance ID '${id}' does not exist`],
    malformed: ['InvalidInstanceID.Malformed', (id) => `Invalid id: "${id}"`],
  },
  snapshot: {
    prefix: 'snap',
    notFound: ['InvalidSnapshot.NotFound', (id) => `The snapshot '${id}' does not exist.`],
    malformed: [
      'InvalidParameterValue',
      (id) => `Value (${id}) for parameter snapshotId is invalid. Expected: 'snap-...'.`,
    ],
  },
  volume: {
    prefix: 'vol',
    notFound: ['InvalidVolume.NotFound', (id) => `The volume '${id}' does not exist.`],
    malformed: [
      'InvalidParameterValue',
      (id) => `Value (${id}) for parameter volumeId is invalid. Expected: 'vol-...'.`,
    ],
  },
  group: {
    prefix: 'sg',
    notFound: ['InvalidGroup.NotFound', (id) => `The security group '${id}' does not exist`],
    malformed: ['InvalidGroupId.Malformed', (id) => `Invalid id: "${id}" (expecting "sg-...")`],
  },
  subnet: {
    prefix: 'subnet',
    notFound: ['InvalidSubnetID.NotFound', (id) => `The subnet ID '${id}' does not exist`],
    malformed: ['InvalidSubnetID.Malformed', (id) => `Invalid id: "${id}" (expecting "subnet-...")`],
  },
  vpc: {
    prefix: 'vpc',
    notFound: ['InvalidVpcID.NotFound', (id) => `The vpc ID '${id}' does not exist`],
    malformed: ['InvalidVpcID.Malformed', (id) => `Invalid id: "${id}" (expecting "vpc-...")`],
  },
  interface: {
    prefix: 'eni',
    notFound: [
      'InvalidNetworkInterfaceID.NotFound',
      (id) => `The networkInterface ID '${id}' does not exist`,
    ],
    malformed: ['InvalidNetworkInterfaceId.Malformed', (id) => `Invalid id: "${id}" (expecting "eni-...")`],
  },
  // AWS answers "Malformed" for a task that is gone, too: it keeps tasks for seven days.
  'import-snapshot': {
    prefix: 'import-snap',
    notFound: ['InvalidConversionTaskId.Malformed', (id) => `The import task ID '${id}' does not exist`],
    malformed: ['InvalidConversionTaskId.Malformed', (id) => `The import task ID '${id}' is not valid`],
  },
  'import-image': {
    prefix: 'import-ami',
    notFound: ['InvalidConversionTaskId.Malformed', (id) => `The import task ID '${id}' does not exist`],
    malformed: ['InvalidConversionTaskId.Malformed', (id) => `The import task ID '${id}' is not valid`],
  },
};

export function refuse(code: string, message: string, status = 400): Refusal {
  return new Refusal({ status, code, message });
}

export function notFound(kind: ResourceKind, id: string): Refusal {
  const [code, message] = NAMING[kind].notFound;
  return refuse(code, message(id));
}

/** The member with this id, or EC2's refusal: malformed ids are told from unknown ones. */
export function requireMember<T>({
  members,
  kind,
  id,
}: {
  members: Readonly<Record<string, T>>;
  kind: ResourceKind;
  id: string;
}): T {
  const { prefix, malformed } = NAMING[kind];
  if (!new RegExp(`^${prefix}-[0-9a-f]{8,17}$`).test(id)) throw refuse(malformed[0], malformed[1](id));
  const member = Object.hasOwn(members, id) ? members[id] : undefined;
  if (member === undefined) throw notFound(kind, id);
  return member;
}

/** The kind that an id's prefix names; null for none of ours. */
export function kindOfId(id: string): ResourceKind | null {
  const kinds = Object.entries(NAMING) as [ResourceKind, Naming][];
  const prefix = id.slice(0, id.lastIndexOf('-'));
  return kinds.find(([, naming]) => naming.prefix === prefix)?.[0] ?? null;
}

export function newId(kind: ResourceKind): string {
  return `${NAMING[kind].prefix}-${newHex()}`;
}

/** 17 hex digits, as in all ids of EC2; the first is 0. */
export function newHex(): string {
  return `0${randomBytes(8).toString('hex')}`;
}

export function invalidValue(parameter: string, value: string): Refusal {
  return refuse('InvalidParameterValue', `Value (${value}) for parameter ${parameter} is invalid.`);
}

export function missing(parameter: string): Refusal {
  return refuse('MissingParameter', `The request must contain the parameter ${parameter}`);
}
