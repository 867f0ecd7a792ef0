/**
 * Everything that carries a run's tag, also what was made just before a crash and never written down. Listed in the order
 * in which it can be removed: what uses others comes before them.
 */
import {
  paginateDescribeImages,
  paginateDescribeInstances,
  paginateDescribeSecurityGroups,
  paginateDescribeSnapshots,
  paginateDescribeVolumes,
  type Tag,
} from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { TaggedThing } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { ask, awsCodeOf } from './errors.ts';
import { describeImage } from './image.ts';
import { listMultiparts, objectUrl } from './multipart.ts';
import { isObjectKey, MACHINE_TAG, machineOfKey, RUN_TAG, runPrefix, tagValue } from './names.ts';
import { listObjects } from './object.ts';
import { closeQuarantine } from './quarantine.ts';
import {
  type Removal,
  removeImage,
  removeInstance,
  removeObject,
  removeSnapshot,
  removeUpload,
  removeVolume,
  snapshotTags,
} from './removal.ts';
import { type AnyTask, listTasks, removeTask } from './task-removal.ts';

export async function findTagged(aws: Aws, run: string, signal: AbortSignal): Promise<TaggedThing[]> {
  const removal = { run, signal };
  return [
    ...(await taggedInstances(aws, removal)),
    ...(await taggedVolumes(aws, removal)),
    ...(await taggedImages(aws, removal)),
    ...(await taggedTasks(aws, removal)),
    ...(await taggedSnapshots(aws, removal)),
    ...(await uploads(aws, removal)),
    ...(await objects(aws, removal)),
    ...(await taggedGroups(aws, removal)),
  ];
}

export async function removeTagged(aws: Aws, { kind, id }: TaggedThing, removal: Removal): Promise<void> {
  switch (kind) {
    case 'instance':
      return removeInstance(aws, id, removal);
    case 'volume':
      return removeVolume(aws, id, removal);
    case 'image':
      return removeImage(aws, id, removal);
    case 'import-task':
      return removeTaskById(aws, id, removal);
    case 'snapshot':
      return removeSnapshot(aws, id, removal);
    case 'upload': {
      const hash = id.lastIndexOf('#');
      const place = placeOf(id.slice(0, hash));
      return removeUpload(aws, { ...place, uploadId: id.slice(hash + 1) }, removal);
    }
    case 'object':
      return removeObject(aws, placeOf(id), removal);
    case 'security-group':
      if (await closeQuarantine(aws, { groupId: id, ...removal })) return;
      throw new LandfallError({
        code: 'target-refused',
        retryable: true,
        message: `The quarantine group ${id} is still in use: discard or admit the machines in it first.`,
      });
    default:
      throw new TypeError(`no kind of thing at AWS: ${kind}`);
  }
}

async function taggedInstances(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  const states = ['pending', 'running', 'stopping', 'stopped', 'shutting-down'];
  const input = { Filters: [runFilter(run), { Name: 'instance-state-name', Values: states }] };
  return collect(aws, 'ec2:DescribeInstances', async (things) => {
    const pages = paginateDescribeInstances({ client: aws.ec2 }, input, { abortSignal: signal });
    for await (const { Reservations = [] } of pages)
      for (const { Instances = [] } of Reservations)
        for (const { InstanceId, State, Tags } of Instances)
          things.push(thing({ kind: 'instance', id: InstanceId, tags: Tags, detail: State?.Name }));
  });
}

async function taggedVolumes(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  return collect(aws, 'ec2:DescribeVolumes', async (things) => {
    const input = { Filters: [runFilter(run)] };
    const pages = paginateDescribeVolumes({ client: aws.ec2 }, input, { abortSignal: signal });
    for await (const { Volumes = [] } of pages)
      for (const { VolumeId, Size, Tags } of Volumes)
        things.push(thing({ kind: 'volume', id: VolumeId, tags: Tags, detail: `${Size} GiB` }));
  });
}

async function taggedImages(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  return collect(aws, 'ec2:DescribeImages', async (things) => {
    const input = { Owners: ['self'], Filters: [runFilter(run)] };
    const pages = paginateDescribeImages({ client: aws.ec2 }, input, { abortSignal: signal });
    for await (const { Images = [] } of pages)
      for (const { ImageId, Name, Tags } of Images)
        things.push(thing({ kind: 'image', id: ImageId, tags: Tags, detail: Name }));
  });
}

/** Tasks under way, and ended ones of which something never got its tags: what has them is listed itself. */
async function taggedTasks(aws: Aws, removal: Removal): Promise<TaggedThing[]> {
  const things: TaggedThing[] = [];
  for (const task of await listTasks(aws, removal)) {
    if (!task.isActive && !(await madeUntagged(aws, task, removal))) continue;
    const made = [...(task.imageId === null ? [] : [task.imageId]), ...task.snapshotIds];
    const detail = task.isActive ? 'under way' : `made ${made.join(', ')}`;
    things.push({ kind: 'import-task', id: task.taskId, machine: task.machine, detail });
  }
  return things;
}

async function madeUntagged(
  aws: Aws,
  { imageId, snapshotIds }: AnyTask,
  { run, signal }: Removal,
): Promise<boolean> {
  const image = imageId === null ? null : await describeImage(aws, imageId, signal);
  if (image !== null && tagValue(image.Tags, RUN_TAG) !== run) return true;
  for (const snapshotId of snapshotIds) {
    const tags = await snapshotTags(aws, snapshotId, signal);
    if (tags !== null && tagValue(tags, RUN_TAG) !== run) return true;
  }
  return false;
}

async function taggedSnapshots(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  return collect(aws, 'ec2:DescribeSnapshots', async (things) => {
    const input = { OwnerIds: ['self'], Filters: [runFilter(run)] };
    const pages = paginateDescribeSnapshots({ client: aws.ec2 }, input, { abortSignal: signal });
    for await (const { Snapshots = [] } of pages)
      for (const { SnapshotId, State, VolumeSize, Tags } of Snapshots) {
        const detail = `${VolumeSize} GiB${State === 'pending' ? ', under way' : ''}`;
        things.push(thing({ kind: 'snapshot', id: SnapshotId, tags: Tags, detail }));
      }
  });
}

async function taggedGroups(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  return collect(aws, 'ec2:DescribeSecurityGroups', async (things) => {
    const input = { Filters: [runFilter(run)] };
    const pages = paginateDescribeSecurityGroups({ client: aws.ec2 }, input, { abortSignal: signal });
    for await (const { SecurityGroups = [] } of pages)
      for (const { GroupId, GroupName, Tags } of SecurityGroups)
        things.push(thing({ kind: 'security-group', id: GroupId, tags: Tags, detail: GroupName }));
  });
}

async function uploads(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  const { bucket, prefix } = aws.options;
  if (bucket === undefined) return [];
  const place = { bucket, prefix: runPrefix(prefix, run) };
  const found = await whereBucketIs(() => listMultiparts(aws.s3, place, signal));
  return found
    .filter(({ key }) => isObjectKey(key))
    .map((upload) => ({
      kind: 'upload',
      id: `${objectUrl(upload)}#${upload.uploadId}`,
      machine: machineOfKey(upload.key, { prefix, run }),
      detail: 'unfinished',
    }));
}

async function objects(aws: Aws, { run, signal }: Removal): Promise<TaggedThing[]> {
  const { bucket, prefix } = aws.options;
  if (bucket === undefined) return [];
  const place = { bucket, prefix: runPrefix(prefix, run) };
  const found = await whereBucketIs(() => listObjects(aws.s3, place, signal));
  return found
    .filter(({ key }) => isObjectKey(key))
    .map((object) => ({
      kind: 'object',
      id: objectUrl(object),
      machine: machineOfKey(object.key, { prefix, run }),
      detail: 'uploaded disk',
    }));
}

async function removeTaskById(aws: Aws, taskId: string, removal: Removal): Promise<void> {
  const tasks = await listTasks(aws, removal);
  const task = tasks.find((candidate) => candidate.taskId === taskId);
  if (task !== undefined) await removeTask(aws, task, removal);
}

async function collect(
  aws: Aws,
  action: string,
  fill: (things: TaggedThing[]) => Promise<void>,
): Promise<TaggedThing[]> {
  const things: TaggedThing[] = [];
  await ask({ doing: 'Listing what a run left', action, resource: aws.options.region }, () => fill(things));
  return things;
}

/** A bucket that was removed holds nothing any more. */
async function whereBucketIs<T>(list: () => Promise<T[]>): Promise<T[]> {
  try {
    return await list();
  } catch (error) {
    if (awsCodeOf(error) === 'NoSuchBucket') return [];
    throw error;
  }
}

function thing(of: {
  kind: string;
  id: string | undefined;
  tags: Tag[] | undefined;
  detail: string | undefined;
}): TaggedThing {
  const { kind, id = '', tags, detail = '' } = of;
  return { kind, id, machine: tagValue(tags, MACHINE_TAG), detail };
}

function runFilter(run: string): { Name: string; Values: string[] } {
  return { Name: `tag:${RUN_TAG}`, Values: [run] };
}

function placeOf(url: string): { bucket: string; key: string } {
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/(.*)$/s.exec(url) ?? [];
  return { bucket, key };
}
