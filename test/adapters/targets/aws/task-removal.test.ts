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
