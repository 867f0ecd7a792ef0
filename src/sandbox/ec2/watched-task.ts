/** What import tasks of both kinds share: each is made once per client token within the quota, and read in pages. */
import { defineEc2Action } from '../query-protocol.ts';
import type { XmlObject } from '../xml.ts';
import type { Ec2Desk } from './cloud.ts';
import { findByToken } from './idempotency.ts';
import { checkQuota } from './import-source.ts';
import {
  cutPage,
  filterMembers,
  filtersParameters,
  idsParameter,
  orderByCreation,
  pageParameters,
} from './query.ts';
import { newId, requireMember } from './refusals.ts';
import type { IdempotencyKey, ImportTask } from './state.ts';

export type TaskRequest = Pick<
  ImportTask,
  'kind' | 'idempotency' | 'roleName' | 'disks' | 'image' | 'tags'
> & {
  input: { Description?: string | undefined; Encrypted?: boolean | undefined; KmsKeyId?: string | undefined };
};

/** The task that an earlier request under this token made. */
export function findEarlierTask({ store }: Ec2Desk, idempotency: IdempotencyKey | null): ImportTask | null {
  return findByToken(Object.values(store.read().importTasks), idempotency)[0] ?? null;
}

/** Records it, and lets it run. */
export async function submitTask(desk: Ec2Desk, { input, ...request }: TaskRequest): Promise<ImportTask> {
  const { store, clock, limits, imports } = desk;
  const { task, isNew } = await store.update((state) => {
    // Another request under this token may have come while its objects were looked up.
    const [meanwhile] = findByToken(Object.values(state.importTasks), request.idempotency);
    if (meanwhile !== undefined) return { task: meanwhile, isNew: false };
    checkQuota(state, limits.importTasks);
    const created: ImportTask = {
      ...request,
      id: newId(`import-${request.kind}`),
      status: 'active',
      statusMessage: null,
      description: input.Description ?? '',
      encrypted: input.Encrypted ?? input.KmsKeyId !== undefined,
      kmsKeyId: input.KmsKeyId ?? null,
      createdAt: clock.now(),
      endedAt: null,
    };
    state.importTasks[created.id] = created;
    return { task: created, isNew: true };
  });
  if (isNew) imports.submit(task.id);
  return task;
}

/** The tasks of one kind, as a member of the answer that is called `set`. */
export function describeTasks(
  desk: Ec2Desk,
  { kind, set, describe }: { kind: ImportTask['kind']; set: string; describe(task: ImportTask): XmlObject },
) {
  return defineEc2Action({ ImportTaskId: idsParameter, ...filtersParameters, ...pageParameters }, (input) => {
    const { importTasks } = desk.store.read();
    const named = input.ImportTaskId?.map((id) =>
      requireMember({ members: importTasks, kind: `import-${kind}`, id }),
    );
    const page = cutPage({
      members: filterMembers({
        members: named ?? Object.values(importTasks).filter((task) => task.kind === kind),
        filters: input.Filters,
        tags: (task) => task.tags,
        fields: { 'task-state': (task) => statusOf(desk, task) },
      }),
      orderOf: orderByCreation,
      maxResults: input.MaxResults,
      nextToken: input.NextToken,
    });
    return { [set]: page.members.map(describe), nextToken: page.nextToken };
  });
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
