/** The disks of a launch. */
import { mergeDevices } from './block-devices.ts';
import { MAX_VOLUMES } from './instance-types.ts';
import type { RunInput } from './launch-parameters.ts';
import { newId, refuse } from './refusals.ts';
import type { BlockDevice, Ec2State, MachineImage, Volume } from './state.ts';

/** In the order in which the guest sees them: its root first. */
export function chooseDevices({
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

export function createVolume({
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
