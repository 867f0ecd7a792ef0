/**
 * One ImportImage task for the whole machine (`via: import-image`): AWS looks into the guest, injects its drivers and
 * makes the AMI itself, as Windows guests need.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportImage.html
 */
import { ImportImageCommand, type Tag } from '@aws-sdk/client-ec2';
import type { JsonObject } from '../../../src/domain/json.ts';
import { isWindows } from '../../../src/domain/machine.ts';
import type { ImportRequest, LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { deviceNames } from './device-names.ts';
import { ask } from './errors.ts';
import { TASK_FORMATS } from './import-task.ts';
import { describeImageTask, listImageTasks } from './import-tasks.ts';
import { TOKEN_TAG, tagsFor, tagValue } from './names.ts';
import { objectRef } from './object.ts';
import { machineOptions } from './options.ts';
import { advanceTask, type WatchedTask } from './watched-task.ts';

type Made = { imageId: string; snapshotIds: string[] };

/** The id of the AMI that AWS made. */
export async function importImage(
  aws: Aws,
  request: ImportRequest,
  context: StepContext,
): Promise<StepOutcome<string>> {
  const outcome = await advanceTask(aws, machineTask(aws, request, context), context);
  return outcome.kind === 'wait' ? outcome : { kind: 'done', value: outcome.value.imageId };
}

function machineTask(aws: Aws, request: ImportRequest, context: StepContext): WatchedTask<Made> {
  const what = request.machine.name;
  const { tags: extra } = machineOptions(request.to);
  const tags = (entry: LedgerEntry) => tagsFor({ entry, tags: context.tags, extra, name: what });
  const { signal } = context;
  return {
    what,
    thing: 'import-task',
    holder: 'machine',
    tags,
    start: (entry) => startTask(aws, { request, token: entry.token, tags: tags(entry), signal }),
    find: async ({ token }) => {
      const tasks = await listImageTasks(aws, signal);
      return tasks.find((task) => tagValue(task.Tags, TOKEN_TAG) === token)?.ImportTaskId ?? null;
    },
    look: (taskId) => lookAtTask(aws, taskId, context),
    readMade,
    idsOf: ({ imageId, snapshotIds }) => [imageId, ...snapshotIds],
  };
}

async function startTask(
  aws: Aws,
  task: { request: ImportRequest; token: string; tags: Tag[]; signal: AbortSignal },
): Promise<string> {
  const { request, token, tags, signal } = task;
  const { machine } = request;
  const { role, kmsKey } = aws.options;
  const { licenseType } = machineOptions(request.to);
  const command = new ImportImageCommand({
    ClientToken: token,
    Description: machine.name,
    Architecture: 'x86_64',
    Platform: isWindows(machine) ? 'Windows' : 'Linux',
    BootMode: machine.firmware === 'uefi' ? 'uefi' : 'legacy-bios',
    DiskContainers: diskContainers(request),
    RoleName: role,
    ...(licenseType === undefined ? {} : { LicenseType: licenseType }),
    ...(kmsKey === undefined ? {} : { Encrypted: true, KmsKeyId: kmsKey }),
    TagSpecifications: [{ ResourceType: 'import-image-task', Tags: tags }],
  });
  const call = {
    doing: `Starting the import of ${machine.name}`,
    action: 'ec2:ImportImage',
    resource: aws.options.region,
  };
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  return answer.ImportTaskId as string;
}

/** The disk that boots first, then the others in bus order: AWS attaches them in this order. */
function diskContainers({
  machine,
  artifacts,
}: ImportRequest): { Format: string; UserBucket: { S3Bucket: string; S3Key: string } }[] {
  return deviceNames(machine).map(({ disk }) => {
    const artifact = artifacts.find((candidate) => candidate.disk === disk);
    const object = objectRef(artifact?.ref ?? null);
    if (object === null || artifact?.container == null)
      throw new TypeError(`disk ${disk} is not in a bucket`);
    return {
      Format: TASK_FORMATS[artifact.container],
      UserBucket: { S3Bucket: object.bucket, S3Key: object.key },
    };
  });
}

async function lookAtTask(aws: Aws, taskId: string, { machine, signal }: StepContext) {
  const task = await describeImageTask(aws, { taskId, doing: `Watching the import of ${machine}`, signal });
  if (task === null) return null;
  const { Status, StatusMessage, Progress, ImageId, SnapshotDetails = [] } = task;
  const status = { status: Status, message: StatusMessage, progress: Progress };
  const snapshotIds = SnapshotDetails.flatMap(({ SnapshotId }) => SnapshotId ?? []);
  return { status, made: ImageId === undefined ? null : { imageId: ImageId, snapshotIds } };
}

function readMade({ imageId, snapshotIds }: JsonObject): Made | null {
  if (typeof imageId !== 'string') return null;
  const ids = Array.isArray(snapshotIds) ? snapshotIds : [];
  return { imageId, snapshotIds: ids.filter((id) => typeof id === 'string') };
}
