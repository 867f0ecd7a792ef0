/** One attribute of one instance at a time, read and changed. */
import { booleanParameter, listParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findOne } from './instance-lookup.ts';
import { chooseGroups } from './instance-network.ts';
import { requireInstanceType } from './instance-types.ts';
import { describeBlockDevices, describeGroupNames } from './instance-xml.ts';
import { invalidValue, missing, refuse, requireMember } from './refusals.ts';
import { readShutdownBehavior } from './run-instances.ts';
import type { Ec2State, Instance } from './state.ts';

const booleanAttribute = structParameter({ Value: booleanParameter });
const textAttribute = structParameter({ Value: textParameter });

const modifyParameters = {
  InstanceId: textParameter,
  GroupId: listParameter(textParameter).optional(),
  InstanceInitiatedShutdownBehavior: textAttribute.optional(),
  InstanceType: textAttribute.optional(),
  UserData: textAttribute.optional(),
  DisableApiTermination: booleanAttribute.optional(),
  DisableApiStop: booleanAttribute.optional(),
  EbsOptimized: booleanAttribute.optional(),
  EnaSupport: booleanAttribute.optional(),
  SourceDestCheck: booleanAttribute.optional(),
  Attribute: textParameter.optional(),
  Value: textParameter.optional(),
  BlockDeviceMapping: listParameter(
    structParameter({
      DeviceName: textParameter,
      Ebs: structParameter({
        DeleteOnTermination: booleanParameter.optional(),
        VolumeId: textParameter.optional(),
      }).optional(),
    }),
  ).optional(),
};
const modifyShape = structParameter(modifyParameters);
type ModifyInput = (typeof modifyShape)['_output'];

export function instanceAttributeActions(desk: Ec2Desk): QueryActions {
  return {
    DescribeInstanceAttribute: describeInstanceAttribute(desk),
    ModifyInstanceAttribute: modifyInstanceAttribute(desk),
  };
}

function describeInstanceAttribute(desk: Ec2Desk) {
  return defineEc2Action(
    { InstanceId: textParameter, Attribute: textParameter },
    ({ InstanceId: id, Attribute: attribute }) => {
      const state = desk.store.read();
      const instance = findOne(desk, state, id);
      const describe = Object.hasOwn(ATTRIBUTES, attribute) ? ATTRIBUTES[attribute] : undefined;
      if (describe === undefined) throw invalidValue('attribute', attribute);
      return { instanceId: id, ...describe(instance, state) };
    },
  );
}

const ATTRIBUTES: Readonly<Record<string, (instance: Instance, state: Readonly<Ec2State>) => XmlObject>> = {
  instanceType: (instance) => ({ instanceType: { value: instance.instanceType } }),
  instanceInitiatedShutdownBehavior: (instance) => ({
    instanceInitiatedShutdownBehavior: { value: instance.shutdownBehavior },
  }),
  disableApiTermination: (instance) => ({ disableApiTermination: { value: instance.disableApiTermination } }),
  disableApiStop: (instance) => ({ disableApiStop: { value: instance.disableApiStop } }),
  ebsOptimized: (instance) => ({ ebsOptimized: { value: instance.ebsOptimized } }),
  enaSupport: (instance) => ({ enaSupport: { value: instance.enaSupport } }),
  sourceDestCheck: (instance) => ({ sourceDestCheck: { value: instance.sourceDestCheck } }),
  rootDeviceName: (instance) => ({ rootDeviceName: { value: instance.rootDeviceName } }),
  userData: (instance) => ({ userData: instance.userData === null ? {} : { value: instance.userData } }),
  blockDeviceMapping: (instance, state) => ({ blockDeviceMapping: describeBlockDevices(state, instance) }),
  groupSet: (instance, state) => ({ groupSet: describeGroupNames(state, instance.interface.groupIds) }),
};

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceAttribute.html */
function modifyInstanceAttribute(desk: Ec2Desk) {
  return defineEc2Action(modifyParameters, async ({ InstanceId: id, ...given }) => {
    const { Attribute: attribute, Value: value, ...named } = given;
    const changes = attribute === undefined ? named : { ...named, ...readPair(attribute, value) };
    const asked = Object.entries(changes).filter(([, change]) => change !== undefined);
    if (asked.length === 0) throw missing('attribute');
    if (asked.length > 1) {
      throw refuse(
        'InvalidParameterCombination',
        `Fields for multiple attribute types specified: ${asked.map(([name]) => name).join(', ')}`,
      );
    }
    await desk.store.update((state) => changeInstance(state, findOne(desk, state, id), changes));
    return { return: true };
  });
}

type Changes = Omit<ModifyInput, 'InstanceId' | 'Attribute' | 'Value'>;

/** The older form: a name and a value. */
function readPair(attribute: string, value: string | undefined): Changes {
  if (value === undefined) throw missing('value');
  switch (attribute) {
    case 'instanceInitiatedShutdownBehavior':
      return { InstanceInitiatedShutdownBehavior: { Value: value } };
    case 'instanceType':
      return { InstanceType: { Value: value } };
    case 'userData':
      return { UserData: { Value: value } };
    case 'disableApiTermination':
      return { DisableApiTermination: { Value: value.toLowerCase() === 'true' } };
    case 'disableApiStop':
      return { DisableApiStop: { Value: value.toLowerCase() === 'true' } };
    case 'sourceDestCheck':
      return { SourceDestCheck: { Value: value.toLowerCase() === 'true' } };
    case 'ebsOptimized':
      return { EbsOptimized: { Value: value.toLowerCase() === 'true' } };
    default:
      throw invalidValue('attribute', attribute);
  }
}

function changeInstance(state: Ec2State, instance: Instance, changes: Changes): void {
  if (instance.state === 'terminated' || instance.state === 'shutting-down') {
    throw refuse(
      'IncorrectInstanceState',
      `The instance '${instance.id}' is not in a state in which it can be modified.`,
    );
  }
  if (changes.GroupId !== undefined) swapGroups(state, instance, changes.GroupId);
  if (changes.InstanceInitiatedShutdownBehavior !== undefined) {
    instance.shutdownBehavior = readShutdownBehavior(changes.InstanceInitiatedShutdownBehavior.Value);
  }
  if (changes.InstanceType !== undefined) {
    requireStopped(instance, 'instanceType');
    instance.instanceType = requireInstanceType(changes.InstanceType.Value).name;
  }
  if (changes.UserData !== undefined) {
    requireStopped(instance, 'userData');
    instance.userData = changes.UserData.Value;
  }
  if (changes.EnaSupport !== undefined) {
    requireStopped(instance, 'enaSupport');
    instance.enaSupport = changes.EnaSupport.Value;
  }
  if (changes.EbsOptimized !== undefined) {
    requireStopped(instance, 'ebsOptimized');
    instance.ebsOptimized = changes.EbsOptimized.Value;
  }
  instance.disableApiTermination = changes.DisableApiTermination?.Value ?? instance.disableApiTermination;
  instance.disableApiStop = changes.DisableApiStop?.Value ?? instance.disableApiStop;
  instance.sourceDestCheck = changes.SourceDestCheck?.Value ?? instance.sourceDestCheck;
  for (const mapping of changes.BlockDeviceMapping ?? []) changeAttachment(state, instance, mapping);
}

function swapGroups(state: Ec2State, instance: Instance, ids: readonly string[]): void {
  if (ids.length === 0) throw missing('groupId');
  const { subnetId } = instance.interface;
  const subnet = requireMember({ members: state.subnets, kind: 'subnet', id: subnetId });
  instance.interface.groupIds = chooseGroups(state, subnet, ids);
}

function requireStopped({ id, state }: Instance, attribute: string): void {
  if (state === 'stopped') return;
  throw refuse(
    'IncorrectInstanceState',
    `The instance '${id}' is not in the 'stopped' state. Its '${attribute}' can be modified only then.`,
  );
}

function changeAttachment(
  state: Ec2State,
  instance: Instance,
  { DeviceName: name, Ebs: ebs }: NonNullable<Changes['BlockDeviceMapping']>[number],
): void {
  const attachment = instance.volumeIds
    .map((id) => state.volumes[id]?.attachment)
    .find((candidate) => candidate?.deviceName === name);
  if (attachment == null) {
    throw refuse('InvalidInstanceAttributeValue', `No device is currently mapped at ${name}`);
  }
  attachment.deleteOnTermination = ebs?.DeleteOnTermination ?? attachment.deleteOnTermination;
}
