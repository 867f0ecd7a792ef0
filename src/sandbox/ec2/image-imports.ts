/** ImportImage and the reads of its tasks. */
import { booleanParameter, listParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { readToken } from './idempotency.ts';
import { checkRole, findSource, readFormat, userBucket } from './import-source.ts';
import { invalidValue, refuse, requireMember } from './refusals.ts';
import type { BootMode, ImportDisk, ImportTask } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';
import { describeProgress, describeTasks, findEarlierTask, statusOf, submitTask } from './watched-task.ts';

const MAX_DISKS = 21;

const container = structParameter({
  Description: textParameter.optional(),
  DeviceName: textParameter.optional(),
  Format: textParameter.optional(),
  SnapshotId: textParameter.optional(),
  UserBucket: userBucket.optional(),
});

type Container = (typeof container)['_output'];

export function imageImportActions(desk: Ec2Desk): QueryActions {
  return {
    ImportImage: importImage(desk),
    DescribeImportImageTasks: describeTasks(desk, {
      kind: 'image',
      set: 'importImageTaskSet',
      describe: (task) => describeImageTask(desk, task),
    }),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportImage.html */
function importImage(desk: Ec2Desk) {
  return defineEc2Action(
    {
      Architecture: textParameter.optional(),
      BootMode: textParameter.optional(),
      ClientToken: textParameter.optional(),
      Description: textParameter.optional(),
      DiskContainer: listParameter(container),
      Encrypted: booleanParameter.optional(),
      Hypervisor: textParameter.optional(),
      KmsKeyId: textParameter.optional(),
      LicenseType: textParameter.optional(),
      Platform: textParameter.optional(),
      RoleName: textParameter.optional(),
      UsageOperation: textParameter.optional(),
      ...tagSpecificationParameters,
    },
    async (input) => {
      const { ClientToken, ...parameters } = input;
      const idempotency = readToken(ClientToken, parameters);
      const earlier = findEarlierTask(desk, idempotency);
      if (earlier !== null) return describeImageTask(desk, earlier);
      const architecture = input.Architecture ?? 'x86_64';
      if (architecture !== 'x86_64') throw invalidValue('architecture', architecture);
      const platform = readPlatform(input.Platform);
      const bootMode = input.BootMode === undefined ? null : readBootMode(input.BootMode);
      const containers = checkContainers(input.DiskContainer);
      const sources = containers.flatMap(({ UserBucket }) => UserBucket ?? []);
      const roleName = checkRole(desk, { roleName: input.RoleName, sources });
      const tags = takeTags({
        specifications: input.TagSpecification,
        type: 'import-image-task',
        allowed: ['import-image-task'],
      });
      const disks = await Promise.all(containers.map((one) => readDisk(desk, one)));
      const licenseType = input.LicenseType ?? null;
      const image = { architecture, platform, bootMode, licenseType, imageId: null };
      const request = { kind: 'image', idempotency, roleName, disks, image, tags } as const;
      const task = await submitTask(desk, { ...request, input });
      return describeImageTask(desk, task);
    },
  );
}

function checkContainers(containers: readonly Container[]): readonly Container[] {
  if (containers.length === 0 || containers.length > MAX_DISKS) {
    throw refuse(
      'InvalidParameter',
      `An import has 1 to ${MAX_DISKS} disks; this one has ${containers.length}.`,
    );
  }
  const odd = containers.find(
    ({ UserBucket, SnapshotId }) => (UserBucket === undefined) === (SnapshotId === undefined),
  );
  if (odd !== undefined) {
    throw refuse(
      'InvalidParameterCombination',
      'Specify either a snapshot or an S3 location for each disk container.',
    );
  }
  return containers;
}

async function readDisk(desk: Ec2Desk, given: Container): Promise<ImportDisk> {
  const named = { description: given.Description ?? '', deviceName: given.DeviceName ?? null };
  if (given.SnapshotId !== undefined) {
    const { snapshots } = desk.store.read();
    const snapshot = requireMember({ members: snapshots, kind: 'snapshot', id: given.SnapshotId });
    if (snapshot.state !== 'completed') {
      throw refuse(
        'IncorrectState',
        `Snapshot '${snapshot.id}' is in state '${snapshot.state}'. It must be 'completed'.`,
      );
    }
    return { ...named, format: null, source: null, snapshotId: snapshot.id };
  }
  // An appliance holds several disks in one object; hand its disks over one by one.
  const format = readFormat(given.Format ?? '', ['VMDK', 'VHD', 'VHDX', 'RAW']);
  const bucket = given.UserBucket ?? { S3Bucket: '', S3Key: '' };
  return { ...named, format, source: await findSource(desk, bucket), snapshotId: null };
}

function readPlatform(platform = 'Linux'): string {
  if (platform === 'Linux' || platform === 'Windows') return platform;
  throw invalidValue('platform', platform);
}

function readBootMode(mode: string): BootMode {
  if (mode === 'legacy-bios' || mode === 'uefi' || mode === 'uefi-preferred') return mode;
  throw invalidValue('bootMode', mode);
}

function describeImageTask(desk: Ec2Desk, task: ImportTask): XmlObject {
  const { snapshots } = desk.store.read();
  return {
    importTaskId: task.id,
    description: task.description,
    architecture: task.image?.architecture,
    platform: task.image?.platform,
    bootMode: task.image?.bootMode,
    licenseType: task.image?.licenseType,
    encrypted: task.encrypted,
    kmsKeyId: task.kmsKeyId,
    imageId: task.status === 'completed' ? task.image?.imageId : null,
    ...describeProgress(desk, task),
    status: statusOf(desk, task),
    snapshotDetailSet: task.disks.map((disk) => ({
      description: disk.description,
      deviceName: disk.deviceName,
      diskImageSize: disk.source?.bytes,
      format: disk.format,
      snapshotId: disk.snapshotId,
      status: snapshots[disk.snapshotId ?? '']?.state === 'completed' ? 'completed' : 'active',
      userBucket: disk.source === null ? null : { s3Bucket: disk.source.bucket, s3Key: disk.source.key },
    })),
    tagSet: describeTags(task.tags),
  };
}
