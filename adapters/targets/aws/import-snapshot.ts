/**
 * One ImportSnapshot task for each disk: the disk becomes a snapshot as it is, AWS does not look into the guest.
 *
 *   intended ──► slot claimed ──► task ──► active … ──► completed ──► snapshot tagged ──► done
 *                                            └──► deleting ──► deleted ──► failed   (a retry makes a new task)
 *
 * A task started by an attempt that was killed before it could write the task's id is found by its client token: the
 * same request answers with the same task.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportSnapshot.html
 */
import {
  CreateTagsCommand,
  ImportSnapshotCommand,
  type ImportSnapshotTask,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { ask, awsCodeOf } from './errors.ts';
import {
  explainRefusal,
  failTask,
  isTaskLimit,
  LIMIT_NOTE,
  LIMIT_WAIT_MS,
  mayNotBeVisibleYet,
  pollDelayMs,
  TASK_FORMATS,
  type TaskStatus,
  taskNote,
  taskState,
} from './import-task.ts';
import { describeSnapshotTask, listSnapshotTasks } from './import-tasks.ts';
import { asLag } from './lag.ts';
import { TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { objectRef } from './object.ts';
import { machineOptions } from './options.ts';

/** Snapshot ids by disk id. */
export type Snapshots = Readonly<Record<string, string>>;

type DiskImport = { kind: 'done'; snapshotId: string } | { kind: 'wait'; afterMs: number; note: string };

/** How long a machine waits before it asks again for one of the slots; costs AWS no request. */
const SLOT_WAIT_MS = 3_000;

/** The counted permits of all workers, whatever the run: AWS counts by account and region. */
export function importSlots({ region }: { region: string }): string {
  return `aws-import-tasks.${region}`;
}

export async function importSnapshots(
  aws: Aws,
  request: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<Snapshots>> {
  const snapshots: Record<string, string> = {};
  const notes: string[] = [];
  let afterMs = Number.POSITIVE_INFINITY;
  for (const artifact of request.artifacts) {
    const outcome = await importDisk(aws, { request, artifact, context });
    if (outcome.kind === 'done') {
      snapshots[artifact.disk] = outcome.snapshotId;
    } else {
      notes.push(`disk ${artifact.disk}: ${outcome.note}`);
      afterMs = Math.min(afterMs, outcome.afterMs);
    }
  }
  if (notes.length === 0) return { kind: 'done', value: snapshots };
  return { kind: 'wait', afterMs, note: notes.join('; ') };
}

type DiskRequest = { request: ImportRequest; artifact: Artifact; context: StepContext };

async function importDisk(aws: Aws, disk: DiskRequest): Promise<DiskImport> {
  const { artifact, context } = disk;
  const entry = await context.ledger.intend(`import-task:${artifact.disk}`);
  const { snapshotId, taskId } = entry.ref ?? {};
  if (entry.state === 'done' && typeof snapshotId === 'string') return { kind: 'done', snapshotId };
  if (typeof taskId === 'string') return watchTask(aws, { ...disk, entry, taskId });
  const slot = { name: importSlots(aws.options), holder: artifact.disk, limit: aws.options.importTasks };
  if (!(await context.slots.claim(slot))) {
    return {
      kind: 'wait',
      afterMs: SLOT_WAIT_MS,
      note: `waits for one of ${aws.options.importTasks} import tasks`,
    };
  }
  const startedId = await startTask(aws, { ...disk, entry });
  if (startedId === null) {
    await context.slots.release(slot);
    return { kind: 'wait', afterMs: LIMIT_WAIT_MS, note: LIMIT_NOTE };
  }
  const started = await context.ledger.settle(entry, 'intended', { taskId: startedId });
  return { kind: 'wait', afterMs: await pollDelayMs(started, context), note: 'import started' };
}

/** null: the account has as many tasks as it may have. */
async function startTask(
  aws: Aws,
  { request, artifact, context, entry }: DiskRequest & { entry: LedgerEntry },
): Promise<string | null> {
  const object = objectRef(artifact.ref);
  if (object === null) throw new TypeError(`disk ${artifact.disk} is not in a bucket`);
  const { role, kmsKey } = aws.options;
  const description = describeDisk(context, artifact.disk);
  const command = new ImportSnapshotCommand({
    ClientToken: entry.token,
    Description: description,
    DiskContainer: {
      Description: description,
      Format: TASK_FORMATS[artifact.container],
      UserBucket: { S3Bucket: object.bucket, S3Key: object.key },
    },
    RoleName: role,
    ...(kmsKey === undefined ? {} : { Encrypted: true, KmsKeyId: kmsKey }),
    TagSpecifications: [
      { ResourceType: 'import-snapshot-task', Tags: diskTags({ request, artifact, context, entry }) },
    ],
  });
  const call = {
    doing: `Starting the import of ${context.machine} disk ${artifact.disk}`,
    action: 'ec2:ImportSnapshot',
    resource: `s3://${object.bucket}/${object.key}`,
  };
  try {
    const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
    return answer.ImportTaskId as string;
  } catch (error) {
    if (isTaskLimit(error)) return null;
    // The same token with other parameters (the wave was edited in between): the task that it made goes on.
    const isKnownToken = awsCodeOf(error) === 'IdempotentParameterMismatch';
    const earlier = isKnownToken ? await findTask(aws, entry, context) : null;
    if (earlier === null) throw explainRefusal(error, description);
    return earlier;
  }
}

async function findTask(aws: Aws, entry: LedgerEntry, { signal }: StepContext): Promise<string | null> {
  const tasks = await listSnapshotTasks(aws, signal);
  return tasks.find((task) => tagValue(task.Tags, TOKEN_TAG) === entry.token)?.ImportTaskId ?? null;
}

async function watchTask(
  aws: Aws,
  disk: DiskRequest & { entry: LedgerEntry; taskId: string },
): Promise<DiskImport> {
  const { artifact, context, entry, taskId } = disk;
  const { machine, signal } = context;
  const task = await describeSnapshotTask(aws, {
    taskId,
    doing: `Watching the import of ${machine}`,
    signal,
  });
  if (task === null && (await mayNotBeVisibleYet(entry, context)))
    return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'import started' };
  const status = statusOf(task);
  switch (taskState(status)) {
    case 'active':
      return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: taskNote(status) };
    case 'failed': {
      const what = `${context.machine} disk ${artifact.disk}`;
      const failure = await failTask(context, { entry, what, taskId, message: status.message });
      await releaseSlot(aws, disk);
      throw failure;
    }
    case 'completed': {
      const snapshotId = task?.SnapshotTaskDetail?.SnapshotId as string;
      await tagSnapshot(aws, { ...disk, snapshotId });
      await context.ledger.settle(entry, 'done', { snapshotId });
      await releaseSlot(aws, disk);
      return { kind: 'done', snapshotId };
    }
  }
}

/** Tags of a task do not pass on to its snapshot. */
async function tagSnapshot(
  aws: Aws,
  { snapshotId, ...disk }: DiskRequest & { entry: LedgerEntry; snapshotId: string },
): Promise<void> {
  const call = { doing: 'Tagging a snapshot', action: 'ec2:CreateTags', resource: snapshotId };
  const command = new CreateTagsCommand({ Resources: [snapshotId], Tags: diskTags(disk) });
  await ask(call, () => aws.ec2.send(command, { abortSignal: disk.context.signal })).catch((error) => {
    throw asLag(error);
  });
}

async function releaseSlot(aws: Aws, { artifact, context }: DiskRequest): Promise<void> {
  await context.slots.release({ name: importSlots(aws.options), holder: artifact.disk });
}

function statusOf(task: ImportSnapshotTask | null): TaskStatus {
  if (task === null)
    return { status: 'deleted', message: 'AWS no longer knows the task', progress: undefined };
  const { Status, StatusMessage, Progress } = task.SnapshotTaskDetail ?? {};
  return { status: Status, message: StatusMessage, progress: Progress };
}

function diskTags({ request, artifact, context, entry }: DiskRequest & { entry: LedgerEntry }): Tag[] {
  const { tags: extra } = machineOptions(request.to);
  return tagsFor({ entry, tags: context.tags, extra, name: describeDisk(context, artifact.disk) });
}

function describeDisk({ machine }: StepContext, disk: string): string {
  return `${machine} disk ${disk}`;
}
