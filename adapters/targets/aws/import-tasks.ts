/** Reads import tasks: one by its id, or all of the region. AWS cannot filter by tag: pages are read to their end and sifted. */
import {
  DescribeImportImageTasksCommand,
  type DescribeImportImageTasksResult,
  DescribeImportSnapshotTasksCommand,
  type DescribeImportSnapshotTasksResult,
  type ImportImageTask,
  type ImportSnapshotTask,
} from '@aws-sdk/client-ec2';
import type { Aws } from './clients.ts';
import { ask, awsCodeOf } from './errors.ts';

const PAGE = 500;

export async function listSnapshotTasks(aws: Aws, signal: AbortSignal): Promise<ImportSnapshotTask[]> {
  const call = callFor(aws, 'ec2:DescribeImportSnapshotTasks');
  const tasks: ImportSnapshotTask[] = [];
  let NextToken: string | undefined;
  do {
    const command = new DescribeImportSnapshotTasksCommand({ MaxResults: PAGE, NextToken });
    const page: DescribeImportSnapshotTasksResult = await ask(call, () =>
      aws.ec2.send(command, { abortSignal: signal }),
    );
    tasks.push(...(page.ImportSnapshotTasks ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined && NextToken !== '');
  return tasks;
}

export async function listImageTasks(aws: Aws, signal: AbortSignal): Promise<ImportImageTask[]> {
  const call = callFor(aws, 'ec2:DescribeImportImageTasks');
  const tasks: ImportImageTask[] = [];
  let NextToken: string | undefined;
  do {
    const command = new DescribeImportImageTasksCommand({ MaxResults: PAGE, NextToken });
    const page: DescribeImportImageTasksResult = await ask(call, () =>
      aws.ec2.send(command, { abortSignal: signal }),
    );
    tasks.push(...(page.ImportImageTasks ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined && NextToken !== '');
  return tasks;
}

export type OneTask = {
  taskId: string;
  /** As in `AwsCall`. */
  doing: string;
  signal: AbortSignal;
};

/** null where AWS does not know it, or not yet. */
export async function describeSnapshotTask(
  aws: Aws,
  { taskId, doing, signal }: OneTask,
): Promise<ImportSnapshotTask | null> {
  const call = { doing, action: 'ec2:DescribeImportSnapshotTasks', resource: taskId };
  const command = new DescribeImportSnapshotTasksCommand({ ImportTaskIds: [taskId] });
  const answer = await unlessUnknown(ask(call, () => aws.ec2.send(command, { abortSignal: signal })));
  return answer?.ImportSnapshotTasks?.[0] ?? null;
}

/** null where AWS does not know it, or not yet. */
export async function describeImageTask(
  aws: Aws,
  { taskId, doing, signal }: OneTask,
): Promise<ImportImageTask | null> {
  const call = { doing, action: 'ec2:DescribeImportImageTasks', resource: taskId };
  const command = new DescribeImportImageTasksCommand({ ImportTaskIds: [taskId] });
  const answer = await unlessUnknown(ask(call, () => aws.ec2.send(command, { abortSignal: signal })));
  return answer?.ImportImageTasks?.[0] ?? null;
}

/** AWS names the fault now with the type of the task, now without: `InvalidConversionTaskId.Malformed` … */
async function unlessUnknown<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (/TaskId/.test(awsCodeOf(error))) return null;
    throw error;
  }
}

function callFor(aws: Aws, action: string): { doing: string; action: string; resource: string } {
  return { doing: 'Listing import tasks', action, resource: aws.options.region };
}
