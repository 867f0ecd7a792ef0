/**
 * One import task of AWS, from its intent to what it made, whatever its kind:
 *
 *   intended ──► slot claimed ──► task ──► active … ──► completed ──► what it made tagged ──► done
 *                                            └──► deleting ──► deleted ──► failed   (a retry makes a new task)
 *
 * A task started by an attempt that was killed before it could write the task's id is found by its client token: the
 * same request answers with the same task.
 */
import { CreateTagsCommand, type Tag } from '@aws-sdk/client-ec2';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { LedgerEntry, StepContext, StepOutcome } from '../../../src/domain/ports.ts';
import type { Aws } from './clients.ts';
import { ask, awsCodeOf } from './errors.ts';
import {
  explainRefusal,
  failTask,
  isTaskLimit,
  LIMIT_NOTE,
  LIMIT_WAIT_MS,
  mayNotBeVisibleYet,
  pollDelayMs,
  type TaskStatus,
  taskNote,
  taskState,
} from './import-task.ts';
import { asLag } from './lag.ts';

/** `Made` is what the ledger keeps of a task that is done. */
export type WatchedTask<Made extends JsonObject> = {
  /** What it imports, for messages: "web01 disk 0". */
  what: string;
  /** Its name in the ledger. */
  thing: string;
  /** Who holds its slot among those of the machine. */
  holder: string;
  /** Sends the request, with the entry's token; gives the task's id. */
  start(entry: LedgerEntry): Promise<string>;
  /** The task that an earlier request under the entry's token made. */
  find(entry: LedgerEntry): Promise<string | null>;
  /** null where AWS does not know it, or not yet. `made` is null until it is completed. */
  look(taskId: string): Promise<{ status: TaskStatus; made: Made | null } | null>;
  /** null where the ledger holds none. */
  readMade(ref: JsonObject): Made | null;
  /** What AWS did not pass the task's tags on to. */
  idsOf(made: Made): string[];
  tags(entry: LedgerEntry): Tag[];
};

type Attempt<Made extends JsonObject> = { task: WatchedTask<Made>; entry: LedgerEntry; context: StepContext };

/** How long a machine waits before it asks again for one of the slots; costs AWS no request. */
const SLOT_WAIT_MS = 3_000;
const STARTED = 'import started';

/** Re-entrant: looks where the task stands, and does what can be done. */
export async function advanceTask<Made extends JsonObject>(
  aws: Aws,
  task: WatchedTask<Made>,
  context: StepContext,
): Promise<StepOutcome<Made>> {
  const entry = await context.ledger.intend(task.thing);
  const made = entry.state === 'done' ? task.readMade(entry.ref ?? {}) : null;
  if (made !== null) return { kind: 'done', value: made };
  const taskId = entry.ref?.taskId;
  if (typeof taskId === 'string') return watchTask(aws, { task, entry, context, taskId });
  return beginTask(aws, { task, entry, context });
}

async function beginTask<Made extends JsonObject>(
  aws: Aws,
  attempt: Attempt<Made>,
): Promise<StepOutcome<Made>> {
  const { task, entry, context } = attempt;
  const { importTasks: limit } = aws.options;
  if (!(await context.slots.claim({ ...slotOf(aws, task), limit })))
    return { kind: 'wait', afterMs: SLOT_WAIT_MS, note: `waits for one of ${limit} import tasks` };
  const taskId = await startOrFind(attempt);
  if (taskId === null) {
    await context.slots.release(slotOf(aws, task));
    return { kind: 'wait', afterMs: LIMIT_WAIT_MS, note: LIMIT_NOTE };
  }
  const started = await context.ledger.settle(entry, 'intended', { taskId });
  return { kind: 'wait', afterMs: await pollDelayMs(started, context), note: STARTED };
}

/** null: the account has as many tasks as it may have. */
async function startOrFind<Made extends JsonObject>({ task, entry }: Attempt<Made>): Promise<string | null> {
  try {
    return await task.start(entry);
  } catch (error) {
    if (isTaskLimit(error)) return null;
    // The same token with other parameters (the wave was edited in between): the task that it made goes on.
    const isKnownToken = awsCodeOf(error) === 'IdempotentParameterMismatch';
    const earlier = isKnownToken ? await task.find(entry) : null;
    if (earlier === null) throw explainRefusal(error, task.what);
    return earlier;
  }
}

async function watchTask<Made extends JsonObject>(
  aws: Aws,
  { task, entry, context, taskId }: Attempt<Made> & { taskId: string },
): Promise<StepOutcome<Made>> {
  const look = await task.look(taskId);
  const wait = async (note: string): Promise<StepOutcome<Made>> => ({
    kind: 'wait',
    afterMs: await pollDelayMs(entry, context),
    note,
  });
  if (look === null && (await mayNotBeVisibleYet(entry, context))) return wait(STARTED);
  const { status, made } = look ?? { status: FORGOTTEN, made: null };
  switch (taskState(status)) {
    case 'active':
      return wait(taskNote(status));
    case 'failed': {
      const failure = await failTask(context, { entry, what: task.what, taskId, message: status.message });
      await context.slots.release(slotOf(aws, task));
      throw failure;
    }
    case 'completed': {
      // The task may say that it is done before it names what it made.
      if (made === null) return wait(taskNote(status));
      await tagMade(aws, { ids: task.idsOf(made), tags: task.tags(entry), signal: context.signal });
      await context.ledger.settle(entry, 'done', made);
      await context.slots.release(slotOf(aws, task));
      return { kind: 'done', value: made };
    }
  }
}

const FORGOTTEN: TaskStatus = {
  status: 'deleted',
  message: 'AWS no longer knows the task',
  progress: undefined,
};

/** Tags of a task do not pass on to what it made. */
async function tagMade(
  aws: Aws,
  { ids, tags, signal }: { ids: string[]; tags: Tag[]; signal: AbortSignal },
): Promise<void> {
  const call = { doing: 'Tagging what was imported', action: 'ec2:CreateTags', resource: ids.join(', ') };
  const command = new CreateTagsCommand({ Resources: ids, Tags: tags });
  await ask(call, () => aws.ec2.send(command, { abortSignal: signal })).catch((error) => {
    throw asLag(error);
  });
}

/** The counted permits of all workers, whatever the run: AWS counts by account and region. */
function slotOf({ options }: Aws, { holder }: { holder: string }): { name: string; holder: string } {
  return { name: `aws-import-tasks.${options.region}`, holder };
}
