/**
 * Removes what one ledger entry made, whether or not its id was written down. Discard entries newest first: AWS keeps a
 * snapshot while an AMI uses it, and a group while an instance is in it.
 */
import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import type { LedgerEntry, StepContext } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { findSnapshots } from './ebs-snapshot.ts';
import { ask } from './errors.ts';
import { findInstance } from './instance-lookup.ts';
import { listMultiparts } from './multipart.ts';
import { imageName, objectStem } from './names.ts';
import { listObjects } from './object.ts';
import { bucketOf } from './options.ts';
import { closeQuarantine } from './quarantine.ts';
import {
  type Removal,
  removeImage,
  removeInstance,
  removeObject,
  removeSnapshot,
  removeUpload,
  removeVolumesOf,
} from './removal.ts';
import { listTasks, removeTask } from './task-removal.ts';

export async function discardEntry(aws: Aws, entry: LedgerEntry, context: StepContext): Promise<void> {
  const removal = { run: entry.run, signal: context.signal };
  const [kind] = entry.thing.split(':');
  switch (kind) {
    case 'upload':
      await discardUpload(aws, entry, removal);
      break;
    case 'snapshot':
      await discardSnapshot(aws, entry, removal);
      break;
    case 'import-task':
      await discardTask(aws, entry, removal);
      break;
    case 'image':
      await discardImage(aws, entry, removal);
      break;
    case 'instance':
      await discardInstance(aws, entry, removal);
      break;
    case 'quarantine':
      await discardQuarantine(aws, entry, removal);
      break;
    default:
      // An admission changes an instance and makes nothing.
      break;
  }
  if (entry.state !== 'discarded') await context.ledger.settle(entry, 'discarded');
}

async function discardUpload(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const place = {
    bucket: textOf(entry, 'bucket') ?? bucketOf(aws.options),
    prefix: objectStem(aws.options.prefix, entry),
  };
  for (const upload of await listMultiparts(aws.s3, place, removal.signal))
    await removeUpload(aws, upload, removal);
  for (const object of await listObjects(aws.s3, place, removal.signal))
    await removeObject(aws, object, removal);
}

/** One under way is ended by it. Two where AWS forgot the token under which an attempt that was killed had started one. */
async function discardSnapshot(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const knownId = textOf(entry, 'snapshotId');
  const found = await findSnapshots(aws, entry, removal.signal);
  for (const snapshotId of new Set(knownId === null ? found : [knownId, ...found]))
    await removeSnapshot(aws, snapshotId, removal);
}

async function discardTask(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const tasks = await listTasks(aws, removal);
  for (const task of tasks.filter((candidate) => candidate.token === entry.token))
    await removeTask(aws, task, removal);
  // AWS forgets tasks after 7 days; what they made stays.
  const imageId = textOf(entry, 'imageId');
  if (imageId !== null) await removeImage(aws, imageId, removal);
  const { snapshotId, snapshotIds } = entry.ref ?? {};
  const known = [snapshotId, ...(Array.isArray(snapshotIds) ? snapshotIds : [])];
  for (const id of known) if (typeof id === 'string') await removeSnapshot(aws, id, removal);
}

async function discardImage(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const knownId = textOf(entry, 'imageId');
  if (knownId !== null) return removeImage(aws, knownId, removal);
  const name = imageName(entry);
  const call = { doing: 'Looking for an AMI', action: 'ec2:DescribeImages', resource: name };
  const command = new DescribeImagesCommand({
    Owners: ['self'],
    Filters: [{ Name: 'name', Values: [name] }],
  });
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: removal.signal }));
  for (const { ImageId } of answer.Images ?? [])
    if (ImageId !== undefined) await removeImage(aws, ImageId, removal);
}

/** The instance, then its disks, which outlive it. */
async function discardInstance(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const instanceId =
    textOf(entry, 'instanceId') ?? (await findInstance(aws, entry, removal.signal))?.InstanceId;
  if (instanceId !== undefined) await removeInstance(aws, instanceId, removal);
  await removeVolumesOf(aws, entry, removal.signal);
}

/** While another machine of the run is in it, it stays: the last one removes it. */
async function discardQuarantine(aws: Aws, entry: LedgerEntry, removal: Removal): Promise<void> {
  const groupId = textOf(entry, 'groupId');
  if (groupId !== null) await closeQuarantine(aws, { groupId, ...removal });
}

function textOf({ ref }: LedgerEntry, key: string): string | null {
  const value = ref?.[key];
  return typeof value === 'string' ? value : null;
}
