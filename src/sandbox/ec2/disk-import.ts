/** One uploaded disk becomes one snapshot. */
import { constants, copyFile, link, rename, rm, stat } from 'node:fs/promises';
import type { Ec2Cloud } from './cloud.ts';
import { convertDisk } from './convert-disk.ts';
import { checkDisk } from './disk-check.ts';
import { ImportFailure } from './import-failure.ts';
import { newId } from './refusals.ts';
import { GIB, type ImportDisk, type Snapshot } from './state.ts';

export type DiskImport = {
  cloud: Ec2Cloud;
  taskId: string;
  /** Which of the task's disks. */
  index: number;
  report: (phase: string, percent: number) => void;
  onSnapshot: (snapshotId: string) => void;
  signal: AbortSignal;
};

type Source = NonNullable<ImportDisk['source']>;

const CONVERTING_FROM_PERCENT = 10;
const CONVERTING_TO_PERCENT = 95;
/** The object must outlive the import; how often that is looked at. */
const WATCH_MS = 500;

/** Throws ImportFailure. A disk that became a snapshot in an earlier life of the sandbox is left as it is. */
export async function importDisk(request: DiskImport): Promise<void> {
  const { cloud, taskId, index, report, onSnapshot, signal } = request;
  const task = cloud.store.read().importTasks[taskId];
  const disk = task?.disks[index];
  if (task === undefined || disk === undefined || disk.source === null || disk.format === null) return;
  if (disk.snapshotId !== null && cloud.store.read().snapshots[disk.snapshotId]?.state === 'completed')
    return;
  report('validating', 2);
  const download = cloud.files.download(taskId, index);
  try {
    await takeObject({ cloud, source: disk.source, download });
    const checked = await checkDisk({ file: download, format: disk.format, signal });
    const snapshotId = await recordSnapshot(request, checked.bytes);
    onSnapshot(snapshotId);
    const phase = task.kind === 'snapshot' ? 'downloading/converting' : 'converting';
    report(phase, CONVERTING_FROM_PERCENT);
    const target = cloud.files.partialSnapshot(snapshotId);
    await whileObjectStands({ cloud, source: disk.source, signal }, (guarded) =>
      convertDisk({
        ...checked,
        source: download,
        target,
        signal: guarded,
        onProgress: (percent) => report(phase, scale(percent)),
      }),
    );
    report('preparing snapshot', CONVERTING_TO_PERCENT);
    const { size } = await stat(target);
    await rename(target, cloud.files.snapshot(snapshotId));
    await completeSnapshot({ cloud, snapshotId, bytes: size });
  } finally {
    await rm(download, { force: true });
  }
}

/** A link of our own: whatever happens to the object, what was checked is what is converted. */
async function takeObject({
  cloud,
  source,
  download,
}: {
  cloud: Ec2Cloud;
  source: Source;
  download: string;
}): Promise<void> {
  const object = await requireObject(cloud, source);
  await rm(download, { force: true });
  try {
    await link(object.file, download);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw sourceGone(source);
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error;
    await copyFile(object.file, download, constants.COPYFILE_FICLONE);
  }
}

async function requireObject({ objects }: Ec2Cloud, source: Source) {
  const object = await objects.find(source.bucket, source.key);
  if (object === null || object.etag !== source.etag) throw sourceGone(source);
  return object;
}

function sourceGone({ bucket, key }: Source): ImportFailure {
  return new ImportFailure('ClientError: Invalid S3 source location', {
    cause: new Error(`s3://${bucket}/${key} was removed or replaced before its import ended`),
  });
}

/** Does the work, and ends it early when the object goes. */
async function whileObjectStands(
  { cloud, source, signal }: { cloud: Ec2Cloud; source: Source; signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const gone = new AbortController();
  const look = (): void => {
    requireObject(cloud, source).catch((error: unknown) => gone.abort(error));
  };
  const timer = setInterval(look, WATCH_MS);
  try {
    await work(AbortSignal.any([signal, gone.signal]));
    await requireObject(cloud, source);
  } finally {
    clearInterval(timer);
  }
}

async function recordSnapshot({ cloud, taskId, index }: DiskImport, bytes: number): Promise<string> {
  return await cloud.store.update((state) => {
    const task = state.importTasks[taskId];
    const disk = task?.disks[index];
    if (task?.status !== 'active' || disk === undefined)
      throw new ImportFailure('ClientError: Task was cancelled');
    const snapshot: Snapshot = {
      id: disk.snapshotId ?? newId('snapshot'),
      state: 'pending',
      bytes,
      volumeSizeGib: Math.ceil(bytes / GIB),
      description: `Created by AWS-VMImport service for ${taskId}`,
      encrypted: task.encrypted,
      kmsKeyId: task.kmsKeyId,
      tags: {},
      createdAt: cloud.clock.now(),
      completedAt: null,
    };
    state.snapshots[snapshot.id] = snapshot;
    disk.snapshotId = snapshot.id;
    return snapshot.id;
  });
}

async function completeSnapshot({
  cloud,
  snapshotId,
  bytes,
}: {
  cloud: Ec2Cloud;
  snapshotId: string;
  bytes: number;
}): Promise<void> {
  await cloud.store.update((state) => {
    const snapshot = state.snapshots[snapshotId];
    if (snapshot === undefined) return;
    Object.assign(snapshot, {
      state: 'completed',
      bytes,
      volumeSizeGib: Math.ceil(bytes / GIB),
      completedAt: cloud.clock.now(),
    });
  });
}

function scale(percent: number): number {
  return CONVERTING_FROM_PERCENT + (percent / 100) * (CONVERTING_TO_PERCENT - CONVERTING_FROM_PERCENT);
}
