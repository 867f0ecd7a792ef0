/** ImportImage and the reads of its tasks. */
import { booleanParameter, listParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findByToken, readToken } from './idempotency.ts';
import { checkQuota, checkRole, findSource, readFormat, userBucket } from './import-source.ts';
import { describeProgress, statusOf } from './import-tasks.ts';
import {
  cutPage,
  filterMembers,
  filtersParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { invalidValue, newId, refuse, requireMember } from './refusals.ts';
import type { BootMode, ImportDisk, ImportTask } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';

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
  return { ImportImage: importImage(desk), DescribeImportImageTasks: describeImportImageTasks(desk) };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportImage.html */
function importImage(desk: Ec2Desk) {
  const { store, clock, limits, imports } = desk;
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
      const [earlier] = findByToken(Object.values(store.read().importTasks), idempotency);
      if (earlier !== undefined) return describeImageTask(desk, earlier);
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
      const { task, isNew } = await store.update((state) => {
        const [meanwhile] = findByToken(Object.values(state.importTasks), idempotency);
        if (meanwhile !== undefined) return { task: meanwhile, isNew: false };
        checkQuota(state, limits.importTasks);
        const created: ImportTask = {
          id: newId('import-image'),
          kind: 'image',
          status: 'active',
          statusMessage: null,
          idempotency,
          description: input.Description ?? '',
          roleName,
          encrypted: input.Encrypted ?? input.KmsKeyId !== undefined,
          kmsKeyId: input.KmsKeyId ?? null,
          disks,
          image: { architecture, platform, bootMode, licenseType: input.LicenseType ?? null, imageId: null },
          tags,
          createdAt: clock.now(),
          endedAt: null,
        };
        state.importTasks[created.id] = created;
        return { task: created, isNew: true };
      });
      if (isNew) imports.submit(task.id);
      return describeImageTask(desk, task);
    },
  );
}

function describeImportImageTasks(desk: Ec2Desk) {
  return defineEc2Action({ ImportTaskId: idsParameter, ...filtersParameters, ...pageParameters }, (input) => {
    const { importTasks } = desk.store.read();
    const named = input.ImportTaskId?.map((id) =>
      requireMember({ members: importTasks, kind: 'import-image', id }),
    );
    const page = cutPage({
      members: filterMembers({
        members: named ?? Object.values(importTasks).filter(({ kind }) => kind === 'image'),
        filters: input.Filters,
        tags: (task) => task.tags,
        fields: { 'task-state': (task) => statusOf(desk, task) },
      }),
      orderOf: orderByCreation,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    return {
      importImageTaskSet: page.members.map((task) => describeImageTask(desk, task)),
      nextToken: page.nextToken,
    };
  });
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
