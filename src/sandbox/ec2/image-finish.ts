/** The end of ImportImage: a look at the boot disk, then an image of all disks. */
import { open } from 'node:fs/promises';
import type { Ec2Cloud } from './cloud.ts';
import { ImportFailure } from './import-failure.ts';
import { newId } from './refusals.ts';
import type { BlockDevice, BootMode, Ec2State, ImportTask, MachineImage } from './state.ts';

const SECTOR = 512;
const BOOT_CODE_BYTES = 440;

/** Throws ImportFailure where the disk cannot be a system's. */
export async function finishImage({ cloud, taskId }: { cloud: Ec2Cloud; taskId: string }): Promise<void> {
  const task = cloud.store.read().importTasks[taskId];
  const bootSnapshot = task?.disks[0]?.snapshotId;
  if (task?.image == null || bootSnapshot == null || task.image.imageId !== null) return;
  const found = await findBootMode(cloud.files.snapshot(bootSnapshot));
  const bootMode = task.image.bootMode ?? found;
  await cloud.store.update((state) => {
    const current = state.importTasks[taskId];
    if (current?.status !== 'active' || current.image === null) return;
    const image = makeImage({ state, task: current, bootMode, now: cloud.clock.now() });
    state.images[image.id] = image;
    current.image.imageId = image.id;
  });
}

/** Only what can be told from its first sectors: AWS looks into file systems, injects drivers and boots it. */
async function findBootMode(file: string): Promise<BootMode> {
  await using handle = await open(file, 'r');
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2 * SECTOR), 0, 2 * SECTOR, 0);
  if (bytesRead < 2 * SECTOR || buffer.readUInt16LE(SECTOR - 2) !== 0xaa55) {
    throw new ImportFailure('ClientError: Unknown OS / Missing OS files.');
  }
  const isGpt = buffer.toString('latin1', SECTOR, SECTOR + 8) === 'EFI PART';
  const hasBootCode = buffer.subarray(0, BOOT_CODE_BYTES).some((byte) => byte !== 0);
  return isGpt && !hasBootCode ? 'uefi' : 'legacy-bios';
}

function makeImage({
  state,
  task,
  bootMode,
  now,
}: {
  state: Ec2State;
  task: ImportTask;
  bootMode: BootMode;
  now: number;
}): MachineImage {
  const blockDevices = task.disks.map((disk, index): BlockDevice => {
    const snapshot = state.snapshots[disk.snapshotId ?? ''];
    if (snapshot === undefined)
      throw new ImportFailure(`ClientError: The snapshot ${disk.snapshotId} does not exist`);
    return {
      deviceName: disk.deviceName ?? deviceName(index),
      snapshotId: snapshot.id,
      volumeSizeGib: snapshot.volumeSizeGib,
      volumeType: 'gp2',
      iops: null,
      throughput: null,
      deleteOnTermination: true,
      encrypted: snapshot.encrypted,
      kmsKeyId: snapshot.kmsKeyId,
    };
  });
  const platform = task.image?.platform ?? 'Linux';
  return {
    id: newId('image'),
    // AWS names imported images by their task.
    name: task.id,
    description: `AWS-VMImport service: ${platform} - ${task.description}`,
    architecture: task.image?.architecture ?? 'x86_64',
    virtualizationType: 'hvm',
    bootMode,
    tpmSupport: null,
    imdsSupport: null,
    enaSupport: true,
    sriovNetSupport: null,
    platform: platform === 'Windows' ? 'windows' : null,
    rootDeviceName: blockDevices[0]?.deviceName ?? '/dev/sda1',
    blockDevices,
    tags: {},
    createdAt: now,
  };
}

function deviceName(index: number): string {
  return index === 0 ? '/dev/sda1' : `/dev/sd${String.fromCharCode('a'.charCodeAt(0) + index)}`;
}
