/** ImportSnapshot, the reads of its tasks, and the end of any import task. */
import { booleanParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { readToken } from './idempotency.ts';
import { checkRole, findSource, readFormat, userBucket } from './import-source.ts';
import { kindOfId, refuse, requireMember } from './refusals.ts';
import type { ImportDisk, ImportTask } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';
import { describeProgress, describeTasks, findEarlierTask, statusOf, submitTask } from './watched-task.ts';

export function importTaskActions(desk: Ec2Desk): QueryActions {
  return {
    ImportSnapshot: importSnapshot(desk),
    DescribeImportSnapshotTasks: describeTasks(desk, {
      kind: 'snapshot',
      set: 'importSnapshotTaskSet',
      describe: (task) => describeSnapshotTask(desk, task),
    }),
    CancelImportTask: cancelImportTask(desk),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportSnapshot.html */
function importSnapshot(desk: Ec2Desk) {
  return defineEc2Action(
    {
      ClientToken: textParameter.optional(),
      Description: textParameter.optional(),
      DiskContainer: structParameter({
        Format: textParameter,
        UserBucket: userBucket,
        Description: textParameter.optional(),
      }),
      Encrypted: booleanParameter.optional(),
      KmsKeyId: textParameter.optional(),
      RoleName: textParameter.optional(),
      ...tagSpecificationParameters,
    },
    async (input) => {
      const { ClientToken, ...parameters } = input;
      const idempotency = readToken(ClientToken, parameters);
      const earlier = findEarlierTask(desk, idempotency);
      if (earlier !== null) return describeSnapshotTask(desk, earlier);
      const { DiskContainer: container } = input;
      const format = readFormat(container.Format, ['VMDK', 'VHD', 'RAW']);
      const roleName = checkRole(desk, { roleName: input.RoleName, sources: [container.UserBucket] });
      const tags = takeTags({
        specifications: input.TagSpecification,
        type: 'import-snapshot-task',
        allowed: ['import-snapshot-task'],
      });
      const source = await findSource(desk, container.UserBucket);
      const disk: ImportDisk = {
        format,
        description: container.Description ?? '',
        deviceName: null,
        source,
        snapshotId: null,
      };
      const request = { idempotency, roleName, disks: [disk], image: null, tags };
      const task = await submitTask(desk, { kind: 'snapshot', ...request, input });
      return describeSnapshotTask(desk, task);
    },
  );
}

function cancelImportTask(desk: Ec2Desk) {
  return defineEc2Action(
    { ImportTaskId: textParameter, CancelReason: textParameter.optional() },
    async ({ ImportTaskId: id, CancelReason: reason }) => {
      const kind = kindOfId(id) === 'import-image' ? 'import-image' : 'import-snapshot';
      const task = requireMember({ members: desk.store.read().importTasks, kind, id });
      if (task.status !== 'active') {
        throw refuse(
          'IncorrectState',
          `The import task ${id} is ${statusOf(desk, task)} and cannot be cancelled`,
        );
      }
      await desk.imports.cancel(id, reason ?? 'User requested cancellation');
      return { importTaskId: id, previousState: 'active', state: 'cancelled' };
    },
  );
}

function describeSnapshotTask(desk: Ec2Desk, task: ImportTask): XmlObject {
  const [disk] = task.disks;
  return {
    description: task.description,
    importTaskId: task.id,
    snapshotTaskDetail: {
      description: disk?.description,
      diskImageSize: disk?.source?.bytes,
      encrypted: task.encrypted,
      kmsKeyId: task.kmsKeyId,
      format: disk?.format,
      ...describeProgress(desk, task),
      snapshotId: task.status === 'completed' ? disk?.snapshotId : null,
      status: statusOf(desk, task),
      userBucket: { s3Bucket: disk?.source?.bucket, s3Key: disk?.source?.key },
    },
    tagSet: describeTags(task.tags),
  };
}
