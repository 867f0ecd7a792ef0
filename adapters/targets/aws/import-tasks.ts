/** All import tasks of the region. AWS cannot filter them by tag: pages are read to their end and sifted here. */
import {
  DescribeImportImageTasksCommand,
  type DescribeImportImageTasksResult,
  DescribeImportSnapshotTasksCommand,
  type DescribeImportSnapshotTasksResult,
  type ImportImageTask,
  type ImportSnapshotTask,
} from '@aws-sdk/client-ec2';
import type { Aws } from './clients.ts';
import { ask } from './errors.ts';

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

function callFor(aws: Aws, action: string): { doing: string; action: string; resource: string } {
  return { doing: 'Listing import tasks', action, resource: aws.options.region };
}
