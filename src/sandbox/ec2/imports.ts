/**
 * Works on import tasks in the background: each checks its uploaded files, converts them into snapshots and, for
 * ImportImage, registers an image. What is active when the sandbox ends goes on when it starts again.
 */

import { createSlots } from '../slots.ts';
import type { Ec2Cloud, Imports, TaskProgress } from './cloud.ts';
import { importDisk } from './disk-import.ts';
import { finishImage } from './image-finish.ts';
import { ImportFailure } from './import-failure.ts';
import { collectSnapshotFile } from './snapshots.ts';
import type { Ec2State, ImportTask } from './state.ts';

/** AWS forgets tasks after seven days. */
const TASK_LIFE_MS = 7 * 24 * 60 * 60 * 1000;

type Work = {
  controller: AbortController;
  ended: Promise<void>;
  progress: TaskProgress;
  snapshots: Set<string>;
};

export async function openImports(cloud: Ec2Cloud): Promise<Imports> {
  const works = new Map<string, Work>();
  const slots = createSlots(cloud.limits.conversions);

  const run = async (taskId: string, work: Work): Promise<void> => {
    const { signal } = work.controller;
    try {
      using _slot = await slots.take(signal);
      await runTask({ cloud, taskId, work, signal });
    } catch (error) {
      // The sandbox ends, or the task was cancelled: whoever aborted settles it.
      if (!signal.aborted) await failTask(cloud, taskId, error);
    } finally {
      works.delete(taskId);
    }
  };
  const submit = (taskId: string): void => {
    const work: Work = {
      controller: new AbortController(),
      ended: Promise.resolve(),
      progress: { percent: 0, phase: 'pending' },
      snapshots: new Set(),
    };
    works.set(taskId, work);
    work.ended = run(taskId, work).catch((error: unknown) => {
      cloud.log('error', `The sandbox could not record the end of ${taskId}: ${String(error)}`);
    });
  };
  const stop = async (work: Work | undefined): Promise<void> => {
    work?.controller.abort(new Error('the import was stopped'));
    await work?.ended;
  };

  await forgetOldTasks(cloud);
  for (const task of Object.values(cloud.store.read().importTasks)) {
    if (task.status === 'active') submit(task.id);
  }
  return {
    submit,
    async cancel(taskId, reason) {
      await stop(works.get(taskId));
      await settleFailed({ cloud, taskId, message: reason });
    },
    progress: (taskId) => works.get(taskId)?.progress ?? { percent: 0, phase: 'pending' },
    snapshotProgress(snapshotId) {
      const work = [...works.values()].find(({ snapshots }) => snapshots.has(snapshotId));
      return Math.floor(work?.progress.percent ?? 0);
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all([...works.values()].map(stop))),
  };
}

type TaskRun = { cloud: Ec2Cloud; taskId: string; work: Work; signal: AbortSignal };

async function runTask({ cloud, taskId, work, signal }: TaskRun): Promise<void> {
  const task = cloud.store.read().importTasks[taskId];
  if (task?.status !== 'active') return;
  const share = 100 / task.disks.length;
  for (const index of task.disks.keys()) {
    await importDisk({
      cloud,
      taskId,
      index,
      signal,
      onSnapshot: (id) => work.snapshots.add(id),
      report: (phase, percent) => {
        work.progress = { phase, percent: share * (index + percent / 100) };
      },
    });
  }
  if (task.kind === 'image') {
    work.progress = { phase: 'preparing ami', percent: 99 };
    await finishImage({ cloud, taskId });
  }
  await cloud.store.update((state) => {
    const done = state.importTasks[taskId];
    if (done?.status !== 'active') return;
    Object.assign(done, { status: 'completed', statusMessage: null, endedAt: cloud.clock.now() });
  });
  cloud.log('info', `Import task ${taskId} completed`, { task: taskId });
}

async function failTask(cloud: Ec2Cloud, taskId: string, error: unknown): Promise<void> {
  const isKnown = error instanceof ImportFailure;
  const message = isKnown ? error.message : 'ServerError: An internal error has occurred during conversion.';
  await settleFailed({ cloud, taskId, message });
  const cause = isKnown ? error.cause : error;
  const detail = cause === undefined ? '' : ` (${cause instanceof Error ? cause.message : String(cause)})`;
  cloud.log(isKnown ? 'warn' : 'error', `Import task ${taskId} failed: ${message}${detail}`, {
    task: taskId,
  });
}

/** The task is failed and what it made so far is gone; snapshots that it was given stay. */
async function settleFailed({
  cloud,
  taskId,
  message,
}: {
  cloud: Ec2Cloud;
  taskId: string;
  message: string;
}): Promise<void> {
  const made = await cloud.store.update((state) => {
    const task = state.importTasks[taskId];
    if (task?.status !== 'active') return [];
    Object.assign(task, { status: 'failed', statusMessage: message, endedAt: cloud.clock.now() });
    return dropSnapshots(state, task);
  });
  await Promise.all(made.map((id) => collectSnapshotFile(cloud, id)));
}

function dropSnapshots(state: Ec2State, task: ImportTask): string[] {
  const made = task.disks.filter(({ source, snapshotId }) => source !== null && snapshotId !== null);
  return made.map((disk) => {
    const id = disk.snapshotId ?? '';
    delete state.snapshots[id];
    disk.snapshotId = null;
    return id;
  });
}

async function forgetOldTasks({ store, clock }: Ec2Cloud): Promise<void> {
  const oldest = clock.now() - TASK_LIFE_MS;
  await store.update((state) => {
    for (const { id, endedAt } of Object.values(state.importTasks)) {
      if (endedAt !== null && endedAt < oldest) delete state.importTasks[id];
    }
  });
}
