/**
 * One ImportImage task for the whole machine (`via: import-image`): AWS looks into the guest, injects its drivers and
 * makes the AMI itself, as Windows guests need.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportImage.html
 */
import { CreateTagsCommand, ImportImageCommand, type ImportImageTask, type Tag } from '@aws-sdk/client-ec2';
import { isWindows } from '../../../src/domain/machine.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { deviceNames } from './device-names.ts';
import { ask, awsCodeOf } from './errors.ts';
import { importSlots } from './import-snapshot.ts';
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
import { describeImageTask, listImageTasks } from './import-tasks.ts';
import { asLag } from './lag.ts';
import { TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { objectRef } from './object.ts';
import { machineOptions } from './options.ts';

const SLOT_HOLDER = 'machine';
const SLOT_WAIT_MS = 3_000;

type MachineImport = { request: ImportRequest; context: StepContext; entry: LedgerEntry };

/** The id of the AMI that AWS made. */
export async function importImage(
  aws: Aws,
  request: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<string>> {
  const entry = await context.ledger.intend('import-task');
  const { imageId, taskId } = entry.ref ?? {};
  if (entry.state === 'done' && typeof imageId === 'string') return { kind: 'done', value: imageId };
  if (typeof taskId === 'string') return watchTask(aws, { request, context, entry, taskId });
  const { importTasks: limit } = aws.options;
  const slot = { name: importSlots(aws.options), holder: SLOT_HOLDER, limit };
  if (!(await context.slots.claim(slot)))
    return { kind: 'wait', afterMs: SLOT_WAIT_MS, note: `waits for one of ${limit} import tasks` };
  const startedId = await startTask(aws, { request, context, entry });
  if (startedId === null) {
    await context.slots.release(slot);
    return { kind: 'wait', afterMs: LIMIT_WAIT_MS, note: LIMIT_NOTE };
  }
  const started = await context.ledger.settle(entry, 'intended', { taskId: startedId });
  return { kind: 'wait', afterMs: await pollDelayMs(started, context), note: 'import started' };
}

/** null: the account has as many tasks as it may have. */
async function startTask(aws: Aws, { request, context, entry }: MachineImport): Promise<string | null> {
  const { machine } = request;
  const { role, kmsKey } = aws.options;
  const { licenseType } = machineOptions(request.to);
  const command = new ImportImageCommand({
    ClientToken: entry.token,
    Description: machine.name,
    Architecture: 'x86_64',
    Platform: isWindows(machine) ? 'Windows' : 'Linux',
    BootMode: machine.firmware === 'uefi' ? 'uefi' : 'legacy-bios',
    DiskContainers: diskContainers(request),
    RoleName: role,
    ...(licenseType === undefined ? {} : { LicenseType: licenseType }),
    ...(kmsKey === undefined ? {} : { Encrypted: true, KmsKeyId: kmsKey }),
    TagSpecifications: [
      { ResourceType: 'import-image-task', Tags: machineTags({ request, context, entry }) },
    ],
  });
  const call = {
    doing: `Starting the import of ${machine.name}`,
    action: 'ec2:ImportImage',
    resource: aws.options.region,
  };
  try {
    const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: context.signal }));
    return answer.ImportTaskId as string;
  } catch (error) {
    if (isTaskLimit(error)) return null;
    const isKnownToken = awsCodeOf(error) === 'IdempotentParameterMismatch';
    const earlier = isKnownToken ? await findTask(aws, entry, context) : null;
    if (earlier === null) throw explainRefusal(error, machine.name);
    return earlier;
  }
}

/** The disk that boots first, then the others in bus order: AWS attaches them in this order. */
function diskContainers({
  machine,
  artifacts,
}: ImportRequest): { Format: string; UserBucket: { S3Bucket: string; S3Key: string } }[] {
  return deviceNames(machine).map(({ disk }) => {
    const artifact = artifacts.find((candidate) => candidate.disk === disk);
    const object = objectRef(artifact?.ref ?? null);
    if (artifact === undefined || object === null) throw new TypeError(`disk ${disk} is not in a bucket`);
    return {
      Format: TASK_FORMATS[artifact.container],
      UserBucket: { S3Bucket: object.bucket, S3Key: object.key },
    };
  });
}

async function findTask(aws: Aws, entry: LedgerEntry, { signal }: StepContext): Promise<string | null> {
  const tasks = await listImageTasks(aws, signal);
  return tasks.find((task) => tagValue(task.Tags, TOKEN_TAG) === entry.token)?.ImportTaskId ?? null;
}

async function watchTask(
  aws: Aws,
  machineImport: MachineImport & { taskId: string },
): Promise<StepOutcome<string>> {
  const { request, context, entry, taskId } = machineImport;
  const { machine, signal } = context;
  const task = await describeImageTask(aws, { taskId, doing: `Watching the import of ${machine}`, signal });
  if (task === null && (await mayNotBeVisibleYet(entry, context)))
    return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: 'import started' };
  const status = statusOf(task);
  const slot = { name: importSlots(aws.options), holder: SLOT_HOLDER };
  switch (taskState(status)) {
    case 'active':
      return { kind: 'wait', afterMs: await pollDelayMs(entry, context), note: taskNote(status) };
    case 'failed': {
      const what = request.machine.name;
      const failure = await failTask(context, { entry, what, taskId, message: status.message });
      await context.slots.release(slot);
      throw failure;
    }
    case 'completed': {
      const imageId = task?.ImageId as string;
      const snapshotIds = (task?.SnapshotDetails ?? []).flatMap(({ SnapshotId }) => SnapshotId ?? []);
      await tagAll(aws, [imageId, ...snapshotIds], machineImport);
      await context.ledger.settle(entry, 'done', { imageId, snapshotIds });
      await context.slots.release(slot);
      return { kind: 'done', value: imageId };
    }
  }
}

/** Tags of a task do not pass on to what it made. */
async function tagAll(aws: Aws, ids: readonly string[], machineImport: MachineImport): Promise<void> {
  const call = {
    doing: 'Tagging an imported AMI',
    action: 'ec2:CreateTags',
    resource: ids.join(', '),
  };
  const command = new CreateTagsCommand({ Resources: [...ids], Tags: machineTags(machineImport) });
  await ask(call, () => aws.ec2.send(command, { abortSignal: machineImport.context.signal })).catch(
    (error) => {
      throw asLag(error);
    },
  );
}

function statusOf(task: ImportImageTask | null): TaskStatus {
  if (task === null)
    return { status: 'deleted', message: 'AWS no longer knows the task', progress: undefined };
  return { status: task.Status, message: task.StatusMessage, progress: task.Progress };
}

function machineTags({ request, context, entry }: MachineImport): Tag[] {
  const { tags: extra } = machineOptions(request.to);
  return tagsFor({ entry, tags: context.tags, extra, name: request.machine.name });
}
