import { expect, test } from 'vitest';
import { discardEntry } from '../../../../adapters/targets/aws/discard.ts';
import { findTagged } from '../../../../adapters/targets/aws/leftovers.ts';
import { createStepContext } from '../../../fakes/step-context.ts';
import { noted, type ScriptedAws, scriptAws, tagsOf } from './scripted-aws.ts';

test('what an import-image task made is removed though AWS passed no tags on to it', async () => {
  const context = createStepContext();
  const entry = await noted(context, 'import-task', { ref: { taskId: 'import-ami-1' } });
  const aws = endedTask(tagsOf(context, entry.token));
  await discardEntry(aws, entry, context);
  const removed = aws.sent.filter(({ name }) => name === 'DeregisterImage' || name === 'DeleteSnapshot');
  expect(removed.map(({ input }) => input)).toEqual([{ ImageId: 'ami-1' }, { SnapshotId: 'snap-1' }]);
});

test('a task whose AMI alone never got its tags is found as a leftover', async () => {
  const context = createStepContext();
  const taskTags = tagsOf(context);
  const aws = endedTask(taskTags, { snapshotTags: taskTags });
  const things = await findTagged(aws, context.run, context.signal);
  expect(things).toContainEqual(expect.objectContaining({ kind: 'import-task', id: 'import-ami-1' }));
});

test.each([
  ['import-snap-1', 'DescribeImportSnapshotTasks', snapshotTask],
  ['import-ami-1', 'DescribeImportImageTasks', imageTask],
] as const)(
  'a cancelled task %s is watched by its id, not among all of the region',
  async (id, read, task) => {
    const context = createStepContext();
    const entry = await noted(context, 'import-task', { ref: { taskId: id } });
    const Tags = tagsOf(context, entry.token);
    let looks = 0;
    const aws = scriptAws({
      [read]: ({ ImportTaskIds }) => {
        if (ImportTaskIds !== undefined) looks += 1;
        return task(id, { Tags, status: looks > 1 ? 'deleted' : 'active' });
      },
    });
    await discardEntry(aws, entry, context);
    const watched = aws.sent.filter(({ name, input }) => name === read && input.ImportTaskIds !== undefined);
    expect(watched.map(({ input }) => input.ImportTaskIds)).toEqual([[id], [id]]);
    expect(aws.sent.filter(({ name }) => name === read)).toHaveLength(3);
  },
);

function snapshotTask(ImportTaskId: string, { Tags, status }: { Tags: Tags; status: string }) {
  return { ImportSnapshotTasks: [{ ImportTaskId, SnapshotTaskDetail: { Status: status }, Tags }] };
}

function imageTask(ImportTaskId: string, { Tags, status }: { Tags: Tags; status: string }) {
  return { ImportImageTasks: [{ ImportTaskId, Status: status, Tags }] };
}

type Tags = { Key: string; Value: string }[];

function endedTask(taskTags: Tags, { snapshotTags = [] }: { snapshotTags?: Tags } = {}): ScriptedAws {
  const task = {
    ImportTaskId: 'import-ami-1',
    Status: 'completed',
    ImageId: 'ami-1',
    SnapshotDetails: [{ SnapshotId: 'snap-1' }],
    Tags: taskTags,
  };
  return scriptAws(
    {
      DescribeImportImageTasks: () => ({ ImportImageTasks: [task] }),
      DescribeImages: ({ ImageIds }) =>
        ImageIds === undefined ? {} : { Images: [{ ImageId: 'ami-1', State: 'available', Tags: [] }] },
      DescribeSnapshots: ({ SnapshotIds }) =>
        SnapshotIds === undefined ? {} : { Snapshots: [{ SnapshotId: 'snap-1', Tags: snapshotTags }] },
    },
    { via: 'import-image' },
  );
}
