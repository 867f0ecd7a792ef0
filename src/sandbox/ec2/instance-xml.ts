/** Instances as EC2's answers show them. Pure. */
import type { XmlObject } from '../xml.ts';
import { requireInstanceType } from './instance-types.ts';
import type { BootMode, Ec2State, Instance, InstanceState } from './state.ts';
import { describeTags } from './tags.ts';

const STATE_CODES: Readonly<Record<InstanceState, number>> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

export function describeState(name: InstanceState): { code: number; name: string } {
  return { code: STATE_CODES[name], name };
}

export function describeGroupNames(state: Readonly<Ec2State>, ids: readonly string[]): XmlObject[] {
  return ids.map((groupId) => ({ groupId, groupName: state.groups[groupId]?.name }));
}

export function describeBlockDevices(state: Readonly<Ec2State>, { volumeIds }: Instance): XmlObject[] {
  return volumeIds.flatMap((volumeId) => {
    const attachment = state.volumes[volumeId]?.attachment;
    if (attachment == null) return [];
    const { deviceName, deleteOnTermination, attachedAt } = attachment;
    const ebs = { volumeId, status: 'attached', attachTime: new Date(attachedAt), deleteOnTermination };
    return [{ deviceName, ebs }];
  });
}

/** `uefi-preferred` is UEFI on every type that the sandbox has. */
export function currentBootMode(bootMode: BootMode | null): 'uefi' | 'legacy-bios' {
  return bootMode === null || bootMode === 'legacy-bios' ? 'legacy-bios' : 'uefi';
}

/** Instances of one launch, as RunInstances and DescribeInstances give them. */
export function describeReservation(
  state: Readonly<Ec2State>,
  { instances, accountId }: { instances: readonly Instance[]; accountId: string },
): XmlObject {
  return {
    reservationId: instances[0]?.reservationId,
    ownerId: accountId,
    groupSet: [],
    instancesSet: instances.map((instance) => describeInstance(state, { instance, accountId })),
  };
}

function describeInstance(
  state: Readonly<Ec2State>,
  { instance, accountId }: { instance: Instance; accountId: string },
): XmlObject {
  const { interface: nic } = instance;
  const isGone = instance.state === 'terminated';
  return {
    instanceId: instance.id,
    imageId: instance.imageId,
    instanceState: describeState(instance.state),
    stateReason: instance.stateReason,
    reason: instance.stateReason === null ? '' : describeTransition(instance),
    privateDnsName: isGone ? '' : privateName(nic),
    dnsName: '',
    keyName: instance.keyName,
    amiLaunchIndex: instance.launchIndex,
    instanceType: instance.instanceType,
    launchTime: new Date(instance.launchedAt),
    placement: { availabilityZone: nic.zone, groupName: '', tenancy: 'default' },
    monitoring: { state: instance.monitoring ? 'enabled' : 'disabled' },
    subnetId: isGone ? null : nic.subnetId,
    vpcId: isGone ? null : nic.vpcId,
    privateIpAddress: isGone ? null : nic.privateIp,
    sourceDestCheck: instance.sourceDestCheck,
    groupSet: isGone ? [] : describeGroupNames(state, nic.groupIds),
    architecture: 'x86_64',
    platform: instance.platform,
    platformDetails: instance.platform === 'windows' ? 'Windows' : 'Linux/UNIX',
    rootDeviceType: 'ebs',
    rootDeviceName: instance.rootDeviceName,
    blockDeviceMapping: describeBlockDevices(state, instance),
    virtualizationType: 'hvm',
    clientToken: instance.idempotency?.token ?? '',
    tagSet: describeTags(instance.tags),
    hypervisor: 'xen',
    networkInterfaceSet: isGone ? [] : [describeNic(state, { instance, accountId })],
    ebsOptimized: instance.ebsOptimized,
    enaSupport: instance.enaSupport,
    iamInstanceProfile:
      instance.profileArn === null ? null : { arn: instance.profileArn, id: instance.profileId },
    bootMode: instance.bootMode,
    currentInstanceBootMode: currentBootMode(instance.bootMode),
    tpmSupport: instance.tpmSupport,
    cpuOptions: describeCpus(instance.instanceType),
    metadataOptions: {
      state: 'applied',
      httpTokens: instance.metadata.httpTokens,
      httpPutResponseHopLimit: instance.metadata.hopLimit,
      httpEndpoint: instance.metadata.httpEndpoint,
      httpProtocolIpv6: 'disabled',
      instanceMetadataTags: instance.metadata.instanceTags,
    },
  };
}

/** The first region's names have no region in them. */
function privateName({ privateIp, zone }: Instance['interface']): string {
  const region = zone.slice(0, -1);
  const domain = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
  return `ip-${privateIp.replaceAll('.', '-')}.${domain}`;
}

function describeTransition({ stateReason, endedAt }: Instance): string {
  const message = stateReason?.message.replace(/^[^:]*: /, '') ?? '';
  return endedAt === null ? message : `${message} (${new Date(endedAt).toISOString()})`;
}

function describeCpus(instanceType: string): XmlObject {
  return { coreCount: Math.ceil(requireInstanceType(instanceType).vcpus / 2), threadsPerCore: 2 };
}

function describeNic(
  state: Readonly<Ec2State>,
  { instance, accountId }: { instance: Instance; accountId: string },
): XmlObject {
  const { interface: nic } = instance;
  return {
    networkInterfaceId: nic.id,
    subnetId: nic.subnetId,
    vpcId: nic.vpcId,
    description: nic.description,
    ownerId: accountId,
    status: 'in-use',
    macAddress: nic.mac,
    interfaceType: 'interface',
    privateIpAddress: nic.privateIp,
    sourceDestCheck: instance.sourceDestCheck,
    groupSet: describeGroupNames(state, nic.groupIds),
    attachment: {
      attachmentId: nic.attachmentId,
      deviceIndex: 0,
      networkCardIndex: 0,
      status: 'attached',
      attachTime: new Date(instance.launchedAt),
      deleteOnTermination: true,
    },
    privateIpAddressesSet: [{ privateIpAddress: nic.privateIp, primary: true }],
  };
}
