/**
 * Removes what import tasks make. A task that is under way is cancelled and watched to its end, since it may complete in
 * the very moment; then the snapshots and the AMI that it made are removed. Tasks themselves stay listed for 7 days.
 */
import type { ImportImageTask, ImportSnapshotTask } from '@aws-sdk/client-ec2';
import type { Aws } from './clients.ts';
import { taskState } from './import-task.ts';
import {
  describeImageTask,
  describeSnapshotTask,
  listImageTasks,
  listSnapshotTasks,
} from './import-tasks.ts';
import { MACHINE_TAG, RUN_TAG, TOKEN_TAG, tagValue } from './names.ts';
import { cancelTask, type Removal, removeImage, removeSnapshot, waitUntil } from './removal.ts';

/** Both kinds of task, told alike. */
export type AnyTask = {
  kind: 'snapshot' | 'image';
  taskId: string;
  isActive: boolean;
  run: string | null;
  machine: string | null;
  token: string | null;
  snapshotIds: string[];
  imageId: string | null;
};

/** All tasks of the region that carry the run's tag, ended ones too. */
export async function listTasks(aws: Aws, { run, signal }: Removal): Promise<AnyTask[]> {
  const [snapshotTasks, imageTasks] = await Promise.all([
    listSnapshotTasks(aws, signal),
    listImageTasks(aws, signal),
  ]);
  const tasks = [...snapshotTasks.map(fromSnapshotTask), ...imageTasks.map(fromImageTask)];
  return tasks.filter((task) => task.run === run);
}

export async function removeTask(aws: Aws, task: AnyTask, removal: Removal): Promise<void> {
  const ended = task.isActive ? await cancelAndWatch(aws, task, removal) : task;
  if (ended === null) return;
  const ofTask = { ...removal, isOurs: true };
  if (ended.imageId !== null) await removeImage(aws, ended.imageId, ofTask);
  for (const snapshotId of ended.snapshotIds) await removeSnapshot(aws, snapshotId, ofTask);
}

async function cancelAndWatch(aws: Aws, task: AnyTask, removal: Removal): Promise<AnyTask | null> {
  await cancelTask(aws, task.taskId, removal.signal);
  const call = { doing: 'Cancelling an import', action: 'ec2:CancelImportTask', resource: task.taskId };
  let latest: AnyTask | null = task;
  await waitUntil(call, removal.signal, async () => {
    latest = await lookAgain(aws, task, removal.signal);
    return latest === null || !latest.isActive;
  });
  return latest;
}

async function lookAgain(aws: Aws, { kind, taskId }: AnyTask, signal: AbortSignal): Promise<AnyTask | null> {
  const one = { taskId, doing: 'Watching a cancelled import', signal };
  if (kind === 'snapshot') {
    const task = await describeSnapshotTask(aws, one);
    return task === null ? null : fromSnapshotTask(task);
  }
  const task = await describeImageTask(aws, one);
  return task === null ? null : fromImageTask(task);
}

function fromSnapshotTask(task: ImportSnapshotTask): AnyTask {
  const { Status, SnapshotId } = task.SnapshotTaskDetail ?? {};
  return {
    ...ownerOf(task),
    kind: 'snapshot',
    isActive: isActive(Status),
    snapshotIds: SnapshotId === undefined ? [] : [SnapshotId],
    imageId: null,
  };
}

function fromImageTask(task: ImportImageTask): AnyTask {
  return {
    ...ownerOf(task),
    kind: 'image',
    isActive: isActive(task.Status),
    snapshotIds: (task.SnapshotDetails ?? []).flatMap(({ SnapshotId }) => SnapshotId ?? []),
    imageId: task.ImageId ?? null,
  };
}

function ownerOf({
  ImportTaskId,
  Tags,
}: ImportSnapshotTask | ImportImageTask): Pick<AnyTask, 'taskId' | 'run' | 'machine' | 'token'> {
  return {
    taskId: ImportTaskId ?? '',
    run: tagValue(Tags, RUN_TAG),
    machine: tagValue(Tags, MACHINE_TAG),
    token: tagValue(Tags, TOKEN_TAG),
  };
}

function isActive(status: string | undefined): boolean {
  return taskState({ status, message: undefined, progress: undefined }) === 'active';
}
