/** ImportSnapshot, the reads of its tasks, and the end of any import task. */
import { booleanParameter, structParameter, textParameter } from '../query-form.ts';
import { defineEc2Action, type QueryActions } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findByToken, readToken } from './idempotency.ts';
import { checkQuota, checkRole, findSource, readFormat, userBucket } from './import-source.ts';
import {
  cutPage,
  filterMembers,
  filtersParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { kindOfId, newId, refuse, requireMember } from './refusals.ts';
import type { ImportDisk, ImportTask } from './state.ts';
import { describeTags, tagSpecificationParameters, takeTags } from './tags.ts';

export function importTaskActions(desk: Ec2Desk): QueryActions {
  return {
    ImportSnapshot: importSnapshot(desk),
    DescribeImportSnapshotTasks: describeImportSnapshotTasks(desk),
    CancelImportTask: cancelImportTask(desk),
  };
}

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportSnapshot.html */
function importSnapshot(desk: Ec2Desk) {
  const { store, clock, limits, imports } = desk;
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
      const [earlier] = findByToken(Object.values(store.read().importTasks), idempotency);
      if (earlier !== undefined) return describeSnapshotTask(desk, earlier);
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
      const { task, isNew } = await store.update((state) => {
        // Another request under this token may have come while the object was looked up.
        const [meanwhile] = findByToken(Object.values(state.importTasks), idempotency);
        if (meanwhile !== undefined) return { task: meanwhile, isNew: false };
        checkQuota(state, limits.importTasks);
        const created: ImportTask = {
          id: newId('import-snapshot'),
          kind: 'snapshot',
          status: 'active',
          statusMessage: null,
          idempotency,
          description: input.Description ?? '',
          roleName,
          encrypted: input.Encrypted ?? input.KmsKeyId !== undefined,
          kmsKeyId: input.KmsKeyId ?? null,
          disks: [disk],
          image: null,
          tags,
          createdAt: clock.now(),
          endedAt: null,
        };
        state.importTasks[created.id] = created;
        return { task: created, isNew: true };
      });
      if (isNew) imports.submit(task.id);
      return describeSnapshotTask(desk, task);
    },
  );
}

function describeImportSnapshotTasks(desk: Ec2Desk) {
  return defineEc2Action({ ImportTaskId: idsParameter, ...filtersParameters, ...pageParameters }, (input) => {
    const { importTasks } = desk.store.read();
    const named = input.ImportTaskId?.map((id) =>
      requireMember({ members: importTasks, kind: 'import-snapshot', id }),
    );
    const page = cutPage({
      members: filterMembers({
        members: named ?? Object.values(importTasks).filter(({ kind }) => kind === 'snapshot'),
        filters: input.Filters,
        tags: (task) => task.tags,
        fields: { 'task-state': (task) => statusOf(desk, task) },
      }),
      orderOf: orderByCreation,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    return {
      importSnapshotTaskSet: page.members.map((task) => describeSnapshotTask(desk, task)),
      nextToken: page.nextToken,
    };
  });
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

/** A failed task says `deleting` for a while, as AWS does, and `deleted` from then on; never `error`. */
export function statusOf({ clock, limits }: Ec2Desk, { status, endedAt }: ImportTask): string {
  if (status !== 'failed') return status;
  return clock.now() < (endedAt ?? 0) + limits.deletingMs ? 'deleting' : 'deleted';
}

/** Progress and phase of a task that is active; AWS leaves them out once it has ended. */
export function describeProgress({ imports }: Ec2Desk, task: ImportTask): XmlObject {
  if (task.status !== 'active') return { statusMessage: task.statusMessage };
  const { percent, phase } = imports.progress(task.id);
  return { progress: String(Math.floor(percent)), statusMessage: phase };
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
