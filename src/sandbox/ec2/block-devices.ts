/** Block device mappings: read, checked against their snapshots, merged over an image's. Pure. */
import {
  booleanParameter,
  integerParameter,
  listParameter,
  structParameter,
  textParameter,
} from '../query-form.ts';
import type { XmlObject } from '../xml.ts';
import { invalidValue, missing, refuse, requireMember } from './refusals.ts';
import type { BlockDevice, Ec2State } from './state.ts';

const mapping = structParameter({
  DeviceName: textParameter,
  NoDevice: textParameter.optional(),
  Ebs: structParameter({
    SnapshotId: textParameter.optional(),
    VolumeSize: integerParameter.optional(),
    VolumeType: textParameter.optional(),
    Iops: integerParameter.optional(),
    Throughput: integerParameter.optional(),
    DeleteOnTermination: booleanParameter.optional(),
    Encrypted: booleanParameter.optional(),
    KmsKeyId: textParameter.optional(),
  }).optional(),
});

export const blockDeviceParameters = { BlockDeviceMapping: listParameter(mapping).optional() };

export type BlockDeviceInput = (typeof mapping)['_output'];

/** In GiB, of the EBS types that new volumes may have. */
const VOLUME_TYPES: Readonly<Record<string, { minGib: number; maxGib: number; iops: number | null }>> = {
  gp2: { minGib: 1, maxGib: 16_384, iops: null },
  gp3: { minGib: 1, maxGib: 65_536, iops: 3_000 },
  io1: { minGib: 4, maxGib: 16_384, iops: 100 },
  io2: { minGib: 4, maxGib: 65_536, iops: 100 },
  st1: { minGib: 125, maxGib: 16_384, iops: null },
  sc1: { minGib: 125, maxGib: 16_384, iops: null },
  standard: { minGib: 1, maxGib: 1_024, iops: null },
};
const GP3_THROUGHPUT = 125;

/** An image's devices. Throws EC2's refusals. */
export function readImageDevices(
  state: Readonly<Ec2State>,
  inputs: readonly BlockDeviceInput[],
): BlockDevice[] {
  checkNames(inputs);
  return inputs
    .filter(({ NoDevice }) => NoDevice === undefined)
    .map((input) => readDevice(state, input, null));
}

/** The image's devices with a launch's mapping over them: changed, left out or added. */
export function mergeDevices({
  state,
  base,
  inputs,
}: {
  state: Readonly<Ec2State>;
  base: readonly BlockDevice[];
  inputs: readonly BlockDeviceInput[];
}): BlockDevice[] {
  checkNames(inputs);
  const kept = base.flatMap((device) => {
    const input = inputs.find(({ DeviceName }) => DeviceName === device.deviceName);
    if (input === undefined) return [device];
    return input.NoDevice === undefined ? [readDevice(state, input, device)] : [];
  });
  const added = inputs.filter(
    ({ DeviceName, NoDevice }) =>
      NoDevice === undefined && !base.some(({ deviceName }) => deviceName === DeviceName),
  );
  return [...kept, ...added.map((input) => readDevice(state, input, null))];
}

export function describeImageDevice(device: BlockDevice): XmlObject {
  return {
    deviceName: device.deviceName,
    ebs: {
      snapshotId: device.snapshotId,
      volumeSize: device.volumeSizeGib,
      volumeType: device.volumeType,
      iops: device.iops,
      throughput: device.throughput,
      deleteOnTermination: device.deleteOnTermination,
      encrypted: device.encrypted,
      kmsKeyId: device.kmsKeyId,
    },
  };
}

function readDevice(
  state: Readonly<Ec2State>,
  input: BlockDeviceInput,
  base: BlockDevice | null,
): BlockDevice {
  const { DeviceName: deviceName, Ebs: ebs } = input;
  if (!/^(\/dev\/)?[a-z]+[a-z0-9]*$/.test(deviceName))
    throw invalidMapping(`device name ${deviceName} is invalid`);
  if (ebs === undefined) throw missing('ebs');
  const snapshotId = ebs.SnapshotId ?? base?.snapshotId ?? null;
  if (base !== null && ebs.SnapshotId !== undefined && ebs.SnapshotId !== base.snapshotId) {
    throw invalidMapping(`snapshotId cannot be modified on root device`);
  }
  if (snapshotId !== null && ebs.Encrypted !== undefined && base === null) {
    throw refuse(
      'InvalidParameter',
      'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    );
  }
  const snapshot =
    snapshotId === null
      ? null
      : requireMember({ members: state.snapshots, kind: 'snapshot', id: snapshotId });
  if (snapshot !== null && snapshot.state !== 'completed') {
    throw refuse(
      'IncorrectState',
      `Snapshot '${snapshot.id}' is in state '${snapshot.state}'. It must be 'completed'.`,
    );
  }
  const size = ebs.VolumeSize ?? base?.volumeSizeGib ?? snapshot?.volumeSizeGib;
  if (size === undefined) throw missing('volumeSize');
  if (snapshot !== null && size < snapshot.volumeSizeGib) {
    throw refuse(
      'InvalidBlockDeviceMapping',
      `Volume of size ${size}GB is smaller than snapshot '${snapshot.id}', expect size >= ${snapshot.volumeSizeGib}GB`,
    );
  }
  const volumeType = ebs.VolumeType ?? base?.volumeType ?? 'gp2';
  return {
    deviceName,
    snapshotId,
    volumeSizeGib: size,
    ...readPerformance({
      volumeType,
      size,
      Iops: ebs.Iops ?? iopsOf(base, ebs.VolumeType),
      Throughput: ebs.Throughput,
    }),
    deleteOnTermination: ebs.DeleteOnTermination ?? base?.deleteOnTermination ?? true,
    encrypted: ebs.Encrypted ?? base?.encrypted ?? snapshot?.encrypted ?? false,
    kmsKeyId: ebs.KmsKeyId ?? base?.kmsKeyId ?? snapshot?.kmsKeyId ?? null,
  };
}

/** A type named anew brings none of the image's IOPS along. */
function iopsOf(base: BlockDevice | null, namedType: string | undefined): number | undefined {
  return namedType === undefined ? (base?.iops ?? undefined) : undefined;
}

function readPerformance({
  volumeType,
  size,
  Iops,
  Throughput,
}: {
  volumeType: string;
  size: number;
  Iops: number | undefined;
  Throughput: number | undefined;
}): Pick<BlockDevice, 'volumeType' | 'iops' | 'throughput'> {
  const type = Object.hasOwn(VOLUME_TYPES, volumeType) ? VOLUME_TYPES[volumeType] : undefined;
  if (type === undefined) throw invalidValue('volumeType', volumeType);
  if (size < type.minGib || size > type.maxGib) {
    const bound = size < type.minGib ? `minimum ${type.minGib}` : `maximum ${type.maxGib}`;
    throw refuse(
      'InvalidParameterValue',
      `Volume of ${size} GiB is invalid; ${bound} GiB for ${volumeType} volumes.`,
    );
  }
  if (Iops === undefined && (volumeType === 'io1' || volumeType === 'io2')) {
    throw refuse('MissingParameter', `The parameter iops must be specified for ${volumeType} volumes.`);
  }
  if (Iops !== undefined && type.iops === null) {
    throw refuse(
      'InvalidParameterCombination',
      `The parameter iops is not supported for ${volumeType} volumes.`,
    );
  }
  if (Throughput !== undefined && volumeType !== 'gp3') {
    throw refuse(
      'InvalidParameterCombination',
      `The parameter throughput is not supported for ${volumeType} volumes.`,
    );
  }
  const throughput = volumeType === 'gp3' ? (Throughput ?? GP3_THROUGHPUT) : null;
  return { volumeType, iops: Iops ?? type.iops, throughput };
}

function checkNames(inputs: readonly BlockDeviceInput[]): void {
  const names = inputs.map(({ DeviceName }) => DeviceName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw invalidMapping(`The device '${twice}' is used in more than one block-device mapping`);
}

function invalidMapping(detail: string) {
  return refuse('InvalidBlockDeviceMapping', `Invalid block device mapping: ${detail}`);
}
