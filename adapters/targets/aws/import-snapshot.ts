/**
 * One ImportSnapshot task for each disk: the disk becomes a snapshot as it is, AWS does not look into the guest. Disks
 * that went up as snapshots already (ebs-direct) are only waited for.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportSnapshot.html
 */
import { ImportSnapshotCommand, type Tag } from '@aws-sdk/client-ec2';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { awaitSnapshot, SNAPSHOT_KIND } from './ebs-completion.ts';
import { ask } from './errors.ts';
import { TASK_FORMATS } from './import-task.ts';
import { describeSnapshotTask, listSnapshotTasks } from './import-tasks.ts';
import { TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { objectRef } from './object.ts';
import { machineOptions } from './options.ts';
import { advanceTask, type WatchedTask } from './watched-task.ts';

/** Snapshot ids by disk id. */
export type Snapshots = Readonly<Record<string, string>>;

type Made = { snapshotId: string };
type DiskRequest = { request: ImportRequest; artifact: Artifact; context: StepContext };

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
      snapshots[artifact.disk] = outcome.value.snapshotId;
    } else {
      notes.push(`disk ${artifact.disk}: ${outcome.note}`);
      afterMs = Math.min(afterMs, outcome.afterMs);
    }
  }
  if (notes.length === 0) return { kind: 'done', value: snapshots };
  return { kind: 'wait', afterMs, note: notes.join('; ') };
}

function importDisk(aws: Aws, disk: DiskRequest): Promise<StepOutcome<Made>> {
  const { artifact, context } = disk;
  if (artifact.kind === SNAPSHOT_KIND) return awaitSnapshot(aws, disk);
  return advanceTask(aws, diskTask(aws, disk), context);
}

function diskTask(aws: Aws, disk: DiskRequest): WatchedTask<Made> {
  const { request, artifact, context } = disk;
  const what = `${context.machine} disk ${artifact.disk}`;
  const { tags: extra } = machineOptions(request.to);
  const tags = (entry: LedgerEntry) => tagsFor({ entry, tags: context.tags, extra, name: what });
  return {
    what,
    thing: `import-task:${artifact.disk}`,
    holder: artifact.disk,
    tags,
    start: (entry) => startTask(aws, { disk, what, token: entry.token, tags: tags(entry) }),
    find: async ({ token }) => {
      const tasks = await listSnapshotTasks(aws, context.signal);
      return tasks.find((task) => tagValue(task.Tags, TOKEN_TAG) === token)?.ImportTaskId ?? null;
    },
    look: (taskId) => lookAtTask(aws, taskId, context),
    readMade,
    idsOf: ({ snapshotId }) => [snapshotId],
  };
}

async function startTask(
  aws: Aws,
  task: { disk: DiskRequest; what: string; token: string; tags: Tag[] },
): Promise<string> {
  const { artifact, context } = task.disk;
  const object = objectRef(artifact.ref);
  if (object === null || artifact.container === null)
    throw new TypeError(`disk ${artifact.disk} is not in a bucket`);
  const { role, kmsKey } = aws.options;
  const command = new ImportSnapshotCommand({
    ClientToken: task.token,
    Description: task.what,
    DiskContainer: {
      Description: task.what,
      Format: TASK_FORMATS[artifact.container],
      UserBucket: { S3Bucket: object.bucket, S3Key: object.key },
    },
    RoleName: role,
    ...(kmsKey === undefined ? {} : { Encrypted: true, KmsKeyId: kmsKey }),
    TagSpecifications: [{ ResourceType: 'import-snapshot-task', Tags: task.tags }],
  });
  const call = {
    doing: `Starting the import of ${task.what}`,
    action: 'ec2:ImportSnapshot',
    resource: `s3://${object.bucket}/${object.key}`,
  };
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
  return answer.ImportTaskId as string;
}

async function lookAtTask(aws: Aws, taskId: string, { machine, signal }: StepContext) {
  const task = await describeSnapshotTask(aws, {
    taskId,
    doing: `Watching the import of ${machine}`,
    signal,
  });
  if (task === null) return null;
  const { Status, StatusMessage, Progress, SnapshotId } = task.SnapshotTaskDetail ?? {};
  const status = { status: Status, message: StatusMessage, progress: Progress };
  return { status, made: SnapshotId === undefined ? null : { snapshotId: SnapshotId } };
}

function readMade({ snapshotId }: JsonObject): Made | null {
  return typeof snapshotId === 'string' ? { snapshotId } : null;
}
