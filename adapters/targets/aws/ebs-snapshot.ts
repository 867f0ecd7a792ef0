/**
 * The snapshot that a disk is written into: found again, started, looked at.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_StartSnapshot.html
 */
import { StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand, type Snapshot } from '@aws-sdk/client-ec2';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { LedgerEntry, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { EBS_BLOCK_BYTES } from './ebs-client.ts';
import { type AwsCall, ask, askUnless, awsCodeOf, identityIn } from './errors.ts';
import { mayNotBeVisibleYet } from './import-task.ts';
import { TOKEN_TAG, tagsFor } from './names.ts';
import { machineOptions } from './options.ts';
import { describeSnapshot } from './removal.ts';

const GIB = 2 ** 30;
/**
 * In minutes: 72 h, the most that the API takes. A snapshot that gets no block for so long is given up by AWS, and with
 * it what an interrupted upload holds.
 */
export const IDLE_TIMEOUT_MINUTES = 4_320;

/**
 *   open ──► completing ──► completed
 *    └──► lost: its idle time ran out, AWS failed, or somebody deleted it
 * AWS calls the first two `pending` alike.
 */
export type SnapshotState = 'pending' | 'completed' | 'lost';

export type DiskUpload = {
  aws: Aws;
  request: UploadRequest;
  context: StepContext;
  entry: LedgerEntry;
};

/** One of each pass: what a later pass does not write shines through from the snapshot of the pass before. */
export function snapshotThing(disk: string, pass: number): string {
  return pass === 0 ? `snapshot:${disk}` : `snapshot:${disk}@${pass}`;
}

export function volumeGibFor({ diskBytes }: Pick<UploadRequest, 'diskBytes'>): number {
  return Math.max(1, Math.ceil(diskBytes / GIB));
}

export async function snapshotState(
  { aws, context, entry }: DiskUpload,
  snapshotId: string,
): Promise<SnapshotState> {
  const snapshot = await describeSnapshot(aws, snapshotId, context.signal);
  if (snapshot === null) return (await mayNotBeVisibleYet(entry, context)) ? 'pending' : 'lost';
  return stateOf(snapshot);
}

export function stateOf({ State }: Snapshot): SnapshotState {
  if (State === 'completed') return 'completed';
  return State === 'pending' || State === undefined ? 'pending' : 'lost';
}

/** The one that an attempt before this one started without writing its id down, or a new one. */
export async function findOrStart(upload: DiskUpload): Promise<string> {
  // The client token finds it too, but AWS does not say for how long.
  return (await findByToken(upload)) ?? startSnapshot(upload);
}

async function startSnapshot(upload: DiskUpload): Promise<string> {
  const { aws, request, context, entry } = upload;
  const { kmsKey } = aws.options;
  const { tags: extra } = machineOptions(request.to);
  const name = `${context.machine} disk ${request.disk}`;
  const parentSnapshotId = await readyParent(upload);
  // A snapshot with a parent is encrypted as its parent is; AWS refuses to be told.
  const encryption = kmsKey === undefined ? {} : { Encrypted: true, KmsKeyArn: kmsKey };
  const command = new StartSnapshotCommand({
    VolumeSize: volumeGibFor(request),
    ClientToken: entry.token,
    Timeout: IDLE_TIMEOUT_MINUTES,
    Description: `${name}, moved by Landfall run ${context.run}`.slice(0, 255),
    Tags: tagsFor({ entry, tags: context.tags, extra, name }),
    ...(parentSnapshotId === null ? encryption : { ParentSnapshotId: parentSnapshotId }),
  });
  const call = {
    doing: `Starting the snapshot of ${name}`,
    action: 'ebs:StartSnapshot',
    resource: snapshotArn(aws, '*'),
  };
  // The same token with other parameters (the wave was edited in between): what it started goes on.
  const answer = await askUnless(['ConflictException'], call, () =>
    aws.ebs.send(command, { abortSignal: context.signal }),
  ).catch((error) => {
    throw explainKey(error, kmsKey);
  });
  const snapshotId = answer?.SnapshotId ?? (answer === null ? await findByToken(upload) : null);
  if (snapshotId === null || snapshotId === undefined) throw unseen(name);
  if (answer?.BlockSize !== undefined && answer.BlockSize !== EBS_BLOCK_BYTES)
    throw otherBlocks(snapshotId, answer.BlockSize);
  return snapshotId;
}

/** null in the full copy. AWS takes a completed snapshot only for a parent. */
async function readyParent({ aws, request, context }: DiskUpload): Promise<string | null> {
  const { pass } = request;
  if (pass === undefined || pass.number === 0) return null;
  const parentId = pass.previous?.ref.snapshotId;
  if (typeof parentId !== 'string') throw new TypeError(`pass ${pass.number} without the snapshot before`);
  const parent = await describeSnapshot(aws, parentId, context.signal);
  const state = parent === null ? 'lost' : stateOf(parent);
  if (state === 'completed') return parentId;
  const subject = `The snapshot ${parentId}, on which pass ${pass.number} of ${context.machine} disk ${request.disk} builds,`;
  if (state === 'pending')
    throw new LandfallError({
      code: 'target-unavailable',
      retryable: true,
      message: `${subject} is not completed by AWS yet: it is looked at again.`,
      context: { snapshotId: parentId },
    });
  throw new LandfallError({
    code: 'target-missing',
    message: `${subject} is gone or failed at AWS. \`landfall discard ${context.run} ${context.machine}\`, then retry it: its disks are copied afresh.`,
    context: { snapshotId: parentId },
  });
}

async function findByToken({ aws, context, entry }: DiskUpload): Promise<string | null> {
  const [found = null] = await findSnapshots(aws, entry, context.signal);
  return found;
}

/** Those that were started under this entry. */
export async function findSnapshots(aws: Aws, entry: LedgerEntry, signal: AbortSignal): Promise<string[]> {
  const call = {
    doing: 'Looking for a snapshot',
    action: 'ec2:DescribeSnapshots',
    resource: aws.options.region,
  };
  const command = new DescribeSnapshotsCommand({
    OwnerIds: ['self'],
    Filters: [{ Name: `tag:${TOKEN_TAG}`, Values: [entry.token] }],
  });
  const answer = await ask(call, () => aws.ec2.send(command, { abortSignal: signal }));
  return (answer.Snapshots ?? []).flatMap(({ SnapshotId }) => SnapshotId ?? []);
}

/** How IAM names a snapshot in policies. */
export function snapshotArn({ options: { region } }: Pick<Aws, 'options'>, snapshotId: string): string {
  return `arn:${partitionOf(region)}:ec2:${region}::snapshot/${snapshotId}`;
}

export function blockCall(
  aws: Aws,
  { doing, action, snapshotId }: { doing: string; action: string; snapshotId: string },
): AwsCall {
  return { doing, action, resource: snapshotArn(aws, snapshotId) };
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

/** EBS says that something it depends on denied it, and means the key. */
function explainKey(error: unknown, kmsKey: string | undefined): unknown {
  if (!(error instanceof LandfallError) || error.code !== 'target-denied') return error;
  const reason = (error.cause as { Reason?: unknown } | undefined)?.Reason;
  if (reason !== 'DEPENDENCY_ACCESS_DENIED' && awsCodeOf(error) !== 'KMS.AccessDeniedException') return error;
  const key = kmsKey ?? "the account's default key for EBS";
  return new LandfallError({
    code: 'target-denied',
    message: `${error.message} It is ${key} that may not be used: let ${identityIn(error.message)} use it, as docs/aws.md shows under KMS.`,
    cause: error,
    context: error.context,
  });
}

/** AWS has never had another size; look-alikes have. */
function otherBlocks(snapshotId: string, blockBytes: number): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    message: `The endpoint started ${snapshotId} with blocks of ${blockBytes} bytes instead of ${EBS_BLOCK_BYTES}, so no disk can go there block by block. Take \`via: import-snapshot\`, or an endpoint that serves EBS direct as AWS does.`,
    context: { snapshotId },
  });
}

function unseen(name: string): LandfallError {
  return new LandfallError({
    code: 'target-unavailable',
    retryable: true,
    message: `AWS says that the snapshot of ${name} was started before, but does not list it yet. It is tried again.`,
  });
}
