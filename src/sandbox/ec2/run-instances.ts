/** RunInstances: everything is checked and recorded at once; the fleet boots what was recorded. */
import { randomBytes } from 'node:crypto';
import {
  booleanParameter,
  integerParameter,
  listParameter,
  structParameter,
  textParameter,
} from '../query-form.ts';
import { defineEc2Action } from '../query-protocol.ts';
import { blockDeviceParameters, mergeDevices } from './block-devices.ts';
import type { Ec2Desk } from './cloud.ts';
import { findByToken, readToken } from './idempotency.ts';
import { assignAddress, chooseGroups } from './instance-network.ts';
import { type InstanceType, MAX_VOLUMES, requireInstanceType } from './instance-types.ts';
import { describeReservation } from './instance-xml.ts';
import { unknownKeyPair } from './key-pairs.ts';
import { invalidValue, newHex, newId, refuse, requireMember } from './refusals.ts';
import {
  type BlockDevice,
  type Ec2State,
  type IdempotencyKey,
  type Instance,
  isLive,
  type MachineImage,
  type NetworkInterface,
  type Subnet,
  usesCapacity,
  type Volume,
} from './state.ts';
import { tagSpecificationParameters, takeTags } from './tags.ts';

/** A sandbox is no place for fleets. */
const MAX_COUNT = 50;
const TAGGABLE = ['instance', 'volume', 'network-interface'] as const;

const runParameters = {
  ImageId: textParameter,
  InstanceType: textParameter,
  MinCount: integerParameter,
  MaxCount: integerParameter,
  ClientToken: textParameter.optional(),
  SubnetId: textParameter.optional(),
  SecurityGroupId: listParameter(textParameter).optional(),
  PrivateIpAddress: textParameter.optional(),
  NetworkInterface: listParameter(
    structParameter({
      DeviceIndex: integerParameter,
      SubnetId: textParameter.optional(),
      SecurityGroupId: listParameter(textParameter).optional(),
      PrivateIpAddress: textParameter.optional(),
      Description: textParameter.optional(),
      AssociatePublicIpAddress: booleanParameter.optional(),
      DeleteOnTermination: booleanParameter.optional(),
      InterfaceType: textParameter.optional(),
    }),
  ).optional(),
  KeyName: textParameter.optional(),
  UserData: textParameter.optional(),
  EbsOptimized: booleanParameter.optional(),
  DisableApiTermination: booleanParameter.optional(),
  DisableApiStop: booleanParameter.optional(),
  InstanceInitiatedShutdownBehavior: textParameter.optional(),
  IamInstanceProfile: structParameter({
    Arn: textParameter.optional(),
    Name: textParameter.optional(),
  }).optional(),
  Monitoring: structParameter({ Enabled: booleanParameter }).optional(),
  Placement: structParameter({
    AvailabilityZone: textParameter.optional(),
    Tenancy: textParameter.optional(),
  }).optional(),
  CreditSpecification: structParameter({ CpuCredits: textParameter }).optional(),
  MetadataOptions: structParameter({
    HttpTokens: textParameter.optional(),
    HttpEndpoint: textParameter.optional(),
    HttpPutResponseHopLimit: integerParameter.optional(),
    HttpProtocolIpv6: textParameter.optional(),
    InstanceMetadataTags: textParameter.optional(),
  }).optional(),
  ...blockDeviceParameters,
  ...tagSpecificationParameters,
};

type RunInput = (typeof runShape)['_output'];
const runShape = structParameter(runParameters);

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html */
export function runInstances(desk: Ec2Desk) {
  return defineEc2Action(runParameters, async (input) => {
    const { ClientToken, ...parameters } = input;
    const idempotency = readToken(ClientToken, parameters);
    const { launched, isNew } = await desk.store.update((state) => {
      const earlier = findByToken(Object.values(state.instances), idempotency);
      if (earlier.length > 0) return { launched: reviveReservation(earlier), isNew: false };
      return { launched: launch({ desk, state, input, idempotency }), isNew: true };
    });
    if (isNew) for (const { id } of launched) desk.fleet.launch(id);
    return describeReservation(desk.store.read(), { instances: launched, accountId: desk.accountId });
  });
}

function reviveReservation(earlier: readonly Instance[]): readonly Instance[] {
  if (earlier.every(isLive)) return earlier;
  throw refuse(
    'IdempotentInstanceTerminated',
    'The request to launch an instance uses the same client token as a previous request for which the instance has been terminated.',
  );
}

type Launch = { desk: Ec2Desk; state: Ec2State; input: RunInput; idempotency: IdempotencyKey | null };

function launch({ desk, state, input, idempotency }: Launch): Instance[] {
  const image = requireMember({ members: state.images, kind: 'image', id: input.ImageId });
  const type = requireInstanceType(input.InstanceType);
  checkBootable(image, type);
  if (input.KeyName !== undefined) throw unknownKeyPair(input.KeyName);
  const count = readCount(input);
  const network = readNetwork(state, input);
  checkCapacity({ desk, state, type, count, zone: network.subnet.zone });
  const devices = chooseDevices({ state, image, input });
  const common = readCommon({ desk, input, image });
  const reservationId = `r-${newHex()}`;
  return Array.from({ length: count }, (_, launchIndex) => {
    const id = newId('instance');
    const now = desk.clock.now();
    const nic = createInterface({ state, network, input });
    const volumes = devices.map((device) =>
      createVolume({ device, instanceId: id, zone: nic.zone, now, tags: tagsFor(input, 'volume') }),
    );
    for (const volume of volumes) state.volumes[volume.id] = volume;
    const instance: Instance = {
      ...common,
      id,
      reservationId,
      launchIndex,
      idempotency,
      volumeIds: volumes.map((volume) => volume.id),
      interface: nic,
      tags: tagsFor(input, 'instance'),
      launchedAt: now,
    };
    state.instances[id] = instance;
    return instance;
  });
}

/** Nitro types run hvm images of their architecture that know ENA; nothing else boots there. */
function checkBootable(image: MachineImage, { name }: InstanceType): void {
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

function readCount({ MinCount: min, MaxCount: max }: RunInput): number {
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

type Network = { subnet: Subnet; groupIds: string[]; wanted: string | undefined; description: string };

function readNetwork(state: Ec2State, input: RunInput): Network {
  const [nic, ...others] = input.NetworkInterface ?? [];
  const isTwice = input.SubnetId !== undefined || input.SecurityGroupId !== undefined;
  if (nic !== undefined && isTwice) {
    throw refuse(
      'InvalidParameterCombination',
      'Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request',
    );
  }
  if (others.length > 0 || (nic !== undefined && nic.DeviceIndex !== 0)) {
    throw refuse(
      'UnsupportedOperation',
      'The sandbox gives an instance one network interface, with device index 0.',
    );
  }
  if (nic?.AssociatePublicIpAddress === true) {
    throw refuse('UnsupportedOperation', 'The sandbox has no public addresses.');
  }
  const subnet = chooseSubnet(state, nic?.SubnetId ?? input.SubnetId, input.Placement?.AvailabilityZone);
  const groupIds = chooseGroups(state, subnet, nic?.SecurityGroupId ?? input.SecurityGroupId ?? []);
  const wanted = nic?.PrivateIpAddress ?? input.PrivateIpAddress;
  if (wanted !== undefined && input.MaxCount > 1) {
    throw refuse('InvalidParameterCombination', 'A private IP address can be given to one instance only.');
  }
  return { subnet, groupIds, wanted, description: nic?.Description ?? '' };
}

function chooseSubnet(state: Ec2State, id: string | undefined, zone: string | undefined): Subnet {
  const subnet =
    id === undefined
      ? Object.values(state.subnets).find(
          (other) => other.isDefault && (zone === undefined || other.zone === zone),
        )
      : requireMember({ members: state.subnets, kind: 'subnet', id });
  if (subnet === undefined) {
    throw refuse('MissingInput', `No subnets found for the default VPC. Please specify a subnet.`);
  }
  if (zone !== undefined && subnet.zone !== zone) {
    throw refuse(
      'InvalidParameterValue',
      `Value (${zone}) for parameter availabilityZone is invalid. The subnet ${subnet.id} is in ${subnet.zone}.`,
    );
  }
  return subnet;
}

function checkCapacity({
  desk,
  state,
  type,
  count,
  zone,
}: {
  desk: Ec2Desk;
  state: Ec2State;
  type: InstanceType;
  count: number;
  zone: string;
}): void {
  checkVcpuQuota({ state, added: type.vcpus * count, limit: desk.limits.vcpus });
  if (!desk.limits.exhaustedTypes.includes(type.name)) return;
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

/** In the order in which the guest sees them: its root first. */
function chooseDevices({
  state,
  image,
  input,
}: {
  state: Ec2State;
  image: MachineImage;
  input: RunInput;
}): BlockDevice[] {
  const inputs = input.BlockDeviceMapping ?? [];
  const devices = mergeDevices({ state, base: image.blockDevices, inputs });
  const root = devices.find(({ deviceName }) => deviceName === image.rootDeviceName);
  if (root === undefined) {
    throw refuse(
      'InvalidBlockDeviceMapping',
      `Invalid block device mapping: the root device ${image.rootDeviceName} is missing`,
    );
  }
  if (devices.length > MAX_VOLUMES) {
    throw refuse(
      'AttachmentLimitExceeded',
      `Volume count ${devices.length} exceeds the limit of ${MAX_VOLUMES}`,
    );
  }
  return [root, ...devices.filter((device) => device !== root)];
}

function readCommon({
  desk,
  input,
  image,
}: {
  desk: Ec2Desk;
  input: RunInput;
  image: MachineImage;
}): Omit<
  Instance,
  'id' | 'reservationId' | 'launchIndex' | 'idempotency' | 'volumeIds' | 'interface' | 'tags' | 'launchedAt'
> {
  const profile = readProfile(desk, input);
  const isImdsV2 = image.imdsSupport === 'v2.0';
  return {
    state: 'pending',
    stateReason: null,
    imageId: image.id,
    instanceType: input.InstanceType,
    bootMode: image.bootMode,
    tpmSupport: image.tpmSupport,
    enaSupport: image.enaSupport,
    platform: image.platform,
    rootDeviceName: image.rootDeviceName,
    keyName: null,
    userData: input.UserData ?? null,
    profileArn: profile?.arn ?? null,
    profileId: profile?.id ?? null,
    ebsOptimized: input.EbsOptimized ?? false,
    monitoring: input.Monitoring?.Enabled ?? false,
    sourceDestCheck: true,
    disableApiTermination: input.DisableApiTermination ?? false,
    disableApiStop: input.DisableApiStop ?? false,
    shutdownBehavior: readShutdownBehavior(input.InstanceInitiatedShutdownBehavior ?? 'stop'),
    metadata: {
      httpTokens: input.MetadataOptions?.HttpTokens ?? (isImdsV2 ? 'required' : 'optional'),
      hopLimit: input.MetadataOptions?.HttpPutResponseHopLimit ?? (isImdsV2 ? 2 : 1),
      httpEndpoint: input.MetadataOptions?.HttpEndpoint ?? 'enabled',
      instanceTags: input.MetadataOptions?.InstanceMetadataTags ?? 'disabled',
    },
    endedAt: null,
  };
}

export function readShutdownBehavior(value: string): 'stop' | 'terminate' {
  if (value === 'stop' || value === 'terminate') return value;
  throw invalidValue('instanceInitiatedShutdownBehavior', value);
}

function readProfile({ roles }: Ec2Desk, { IamInstanceProfile: given }: RunInput) {
  const name = given?.Arn ?? given?.Name;
  if (name === undefined) return null;
  const profile = roles.findInstanceProfile(name);
  if (profile !== null) return profile;
  const field = given?.Arn === undefined ? 'name' : 'arn';
  throw refuse(
    'InvalidParameterValue',
    `Value (${name}) for parameter iamInstanceProfile.${field} is invalid. Invalid IAM Instance Profile ${field === 'arn' ? 'ARN' : 'name'}`,
  );
}

function tagsFor({ TagSpecification: specifications }: RunInput, type: (typeof TAGGABLE)[number]) {
  return takeTags({ specifications, type, allowed: TAGGABLE });
}

function createInterface({
  state,
  network: { subnet, groupIds, wanted, description },
  input,
}: {
  state: Ec2State;
  network: Network;
  input: RunInput;
}): NetworkInterface {
  return {
    id: newId('interface'),
    attachmentId: `eni-attach-${newHex()}`,
    subnetId: subnet.id,
    vpcId: subnet.vpcId,
    zone: subnet.zone,
    privateIp: assignAddress(state, subnet, wanted),
    // Locally administered, as on Nitro.
    mac: ['0e', ...(randomBytes(5).toString('hex').match(/../g) ?? [])].join(':'),
    description,
    groupIds: [...groupIds],
    tags: tagsFor(input, 'network-interface'),
  };
}

function createVolume({
  device,
  instanceId,
  zone,
  now,
  tags,
}: {
  device: BlockDevice;
  instanceId: string;
  zone: string;
  now: number;
  tags: Volume['tags'];
}): Volume {
  const { deviceName, deleteOnTermination } = device;
  return {
    id: newId('volume'),
    sizeGib: device.volumeSizeGib,
    snapshotId: device.snapshotId,
    volumeType: device.volumeType,
    iops: device.iops,
    throughput: device.throughput,
    encrypted: device.encrypted,
    kmsKeyId: device.kmsKeyId,
    zone,
    attachment: { instanceId, deviceName, deleteOnTermination, attachedAt: now },
    tags,
    createdAt: now,
  };
}
