/**
 * Removes single things at AWS. Each looks first: what is gone already is done, and what does not carry the run's tag is
 * somebody else's and is refused.
 */
import { setTimeout as delay } from 'node:timers/promises';
import {
  CancelImportTaskCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DeregisterImageCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  type Snapshot,
  type Tag,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { LedgerEntry } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { type AwsCall, ask, askUnless } from './errors.ts';
import { describeImage } from './image.ts';
import { describeInstance } from './instance-lookup.ts';
import { abortMultipart, headObject, type ObjectPlace, objectUrl, type UploadPlace } from './multipart.ts';
import { isObjectKey, RUN_METADATA, RUN_TAG, runPrefix, TOKEN_TAG, tagValue } from './names.ts';
import { deleteObject } from './object.ts';

/** The run whose things may be removed. */
export type Removal = { run: string; signal: AbortSignal };

/** `isOurs`: known by the import task that made it, which passes no tags on and was not watched to its end. */
export type OwnRemoval = Removal & { isOurs?: boolean };

const POLL_MS = 1_000;
/** Instances take up to some minutes to stop, and their disks are attached until then. */
const TERMINATION_TIMEOUT_MS = 5 * 60_000;

/** Terminates an instance and waits until its disks are free. */
export async function removeInstance(aws: Aws, instanceId: string, { run, signal }: Removal): Promise<void> {
  const instance = await describeInstance(aws, instanceId, signal);
  if (instance === null || instance.State?.Name === 'terminated') return;
  checkTag(instance.Tags, { run, thing: `instance ${instanceId}` });
  const call = {
    doing: 'Terminating an instance',
    action: 'ec2:TerminateInstances',
    resource: instanceId,
  };
  const command = new TerminateInstancesCommand({ InstanceIds: [instanceId] });
  await askUnless(['InvalidInstanceID.NotFound'], call, () => aws.ec2.send(command, { abortSignal: signal }));
  await waitUntil(call, signal, async () => {
    const state = (await describeInstance(aws, instanceId, signal))?.State?.Name;
    return state === undefined || state === 'terminated';
  });
}

export async function removeVolume(aws: Aws, volumeId: string, { run, signal }: Removal): Promise<void> {
  const gone = ['InvalidVolume.NotFound'];
  const find = { doing: 'Looking for a volume', action: 'ec2:DescribeVolumes', resource: volumeId };
  const describe = new DescribeVolumesCommand({ VolumeIds: [volumeId] });
  const found = await askUnless(gone, find, () => aws.ec2.send(describe, { abortSignal: signal }));
  const volume = found?.Volumes?.[0];
  if (volume === undefined) return;
  checkTag(volume.Tags, { run, thing: `volume ${volumeId}` });
  const call = { doing: 'Removing a volume', action: 'ec2:DeleteVolume', resource: volumeId };
  const command = new DeleteVolumeCommand({ VolumeId: volumeId });
  // Detaching goes on for a moment after the instance is terminated.
  await waitUntil(call, signal, async () => {
    const deleted = await askUnless(['VolumeInUse'], call, () =>
      askUnless(gone, call, () => aws.ec2.send(command, { abortSignal: signal })).then(() => true),
    );
    return deleted !== null;
  });
}

/** The disks of an entry's instance, which outlive it. */
export async function removeVolumesOf(aws: Aws, entry: LedgerEntry, signal: AbortSignal): Promise<void> {
  const call = {
    doing: 'Looking for volumes',
    action: 'ec2:DescribeVolumes',
    resource: aws.options.region,
  };
  const command = new DescribeVolumesCommand({
    Filters: [{ Name: `tag:${TOKEN_TAG}`, Values: [entry.token] }],
  });
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  for (const { VolumeId } of answer.Volumes ?? [])
    if (VolumeId !== undefined) await removeVolume(aws, VolumeId, { run: entry.run, signal });
}

/** Deregisters an AMI; its snapshots stay. */
export async function removeImage(
  aws: Aws,
  imageId: string,
  { run, signal, isOurs = false }: OwnRemoval,
): Promise<void> {
  const image = await describeImage(aws, imageId, signal);
  if (image === null) return;
  if (!isOurs) checkTag(image.Tags, { run, thing: `AMI ${imageId}` });
  const call = { doing: 'Deregistering an AMI', action: 'ec2:DeregisterImage', resource: imageId };
  const command = new DeregisterImageCommand({ ImageId: imageId });
  await askUnless(['InvalidAMIID.NotFound', 'InvalidAMIID.Unavailable'], call, () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
}

export async function removeSnapshot(
  aws: Aws,
  snapshotId: string,
  { run, signal, isOurs = false }: OwnRemoval,
): Promise<void> {
  const tags = await snapshotTags(aws, snapshotId, signal);
  if (tags === null) return;
  if (!isOurs) checkTag(tags, { run, thing: `snapshot ${snapshotId}` });
  const call = { doing: 'Removing a snapshot', action: 'ec2:DeleteSnapshot', resource: snapshotId };
  const command = new DeleteSnapshotCommand({ SnapshotId: snapshotId });
  await askUnless(['InvalidSnapshot.NotFound'], call, () => aws.ec2.send(command, { abortSignal: signal }));
}

/** null where there is no such snapshot. */
export async function snapshotTags(aws: Aws, snapshotId: string, signal: AbortSignal): Promise<Tag[] | null> {
  const snapshot = await describeSnapshot(aws, snapshotId, signal);
  return snapshot === null ? null : (snapshot.Tags ?? []);
}

/** null where there is no such snapshot. */
export async function describeSnapshot(
  aws: Aws,
  snapshotId: string,
  signal: AbortSignal,
): Promise<Snapshot | null> {
  const call = {
    doing: 'Looking for a snapshot',
    action: 'ec2:DescribeSnapshots',
    resource: snapshotId,
  };
  const command = new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] });
  const found = await askUnless(['InvalidSnapshot.NotFound'], call, () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
  return found?.Snapshots?.[0] ?? null;
}

/** Asks AWS to give up on a task whose tags were checked. One that ended in the same moment is left to its end. */
export async function cancelTask(aws: Aws, taskId: string, signal: AbortSignal): Promise<void> {
  const call = { doing: 'Cancelling an import', action: 'ec2:CancelImportTask', resource: taskId };
  const command = new CancelImportTaskCommand({ ImportTaskId: taskId });
  await askUnless(['IncorrectState', 'IncorrectImportTaskState', 'InvalidConversionTaskId'], call, () =>
    aws.ec2.send(command, { abortSignal: signal }),
  );
}

export async function removeUpload(aws: Aws, place: UploadPlace, { run, signal }: Removal): Promise<void> {
  checkKey(aws, place.key, run);
  await abortMultipart(aws.s3, place, signal);
}

export async function removeObject(aws: Aws, place: ObjectPlace, { run, signal }: Removal): Promise<void> {
  checkKey(aws, place.key, run);
  const head = await headObject(aws.s3, place, signal);
  if (head === null) return;
  if (head.Metadata?.[RUN_METADATA] !== encodeURIComponent(run)) throw foreign(objectUrl(place), run);
  const version = head.VersionId === undefined ? {} : { versionId: head.VersionId };
  await deleteObject(aws.s3, { ...place, ...version }, signal);
}

/** Polls until it is so; throws `target-unavailable` after five minutes. */
export async function waitUntil(
  { doing, resource }: AwsCall,
  signal: AbortSignal,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + TERMINATION_TIMEOUT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) {
      throw new LandfallError({
        code: 'target-unavailable',
        retryable: true,
        message: `${doing} (${resource}) did not end within ${TERMINATION_TIMEOUT_MS / 60_000} minutes. Look at it in the console of AWS, then try again.`,
      });
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

function checkTag(tags: readonly Tag[] | undefined, { run, thing }: { run: string; thing: string }): void {
  if (tagValue(tags, RUN_TAG) !== run) throw foreign(thing, run);
}

function checkKey(aws: Aws, key: string, run: string): void {
  if (!key.startsWith(runPrefix(aws.options.prefix, run)) || !isObjectKey(key)) throw foreign(key, run);
}

function foreign(thing: string, run: string): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `Left ${thing} alone: it does not carry the tag of run ${run}, so Landfall did not make it in this run, or its tags were changed. Remove it by hand if it is yours.`,
  });
}
