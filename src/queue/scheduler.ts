/** Timers and the reconciler: what brings a run to its end even when events were lost. Several may run; all they do is idempotent. */
import { Worker } from 'bullmq';
import { replaceLostJob } from '../domain/machine-changes.ts';
import { PREFIX } from '../state/keys.ts';
import type { State } from '../state/state.ts';
import type { Conductor } from './conductor.ts';
import { type Queues, queueConnection, WAKE_QUEUE, type WakeUp } from './queues.ts';

const RECONCILE_MS = 30_000;

export type SchedulerOptions = {
  state: State;
  queues: Queues;
  conductor: Conductor;
  onError: (error: Error) => void;
  reconcileEveryMs?: number;
};

export async function startScheduler(options: SchedulerOptions): Promise<AsyncDisposable> {
  const { state, conductor, onError, reconcileEveryMs = RECONCILE_MS } = options;
  const timers = new Worker<WakeUp>(WAKE_QUEUE, async ({ data }) => void (await conductor.look(data)), {
    connection: queueConnection(state.url),
    prefix: PREFIX,
    concurrency: 10,
  });
  timers.on('error', onError);
  await timers.waitUntilReady();

  let round: Promise<void> = reconcileAll(options).catch(onError);
  const interval = setInterval(() => {
    round = round.then(() => reconcileAll(options)).catch(onError);
  }, reconcileEveryMs);

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(interval);
      await Promise.all([timers.close(), round]);
    },
  };
}

async function reconcileAll(options: SchedulerOptions): Promise<void> {
  for (const id of await options.state.runs.list()) {
    const run = await options.state.runs.get(id);
    if (run === null || run.archivedAt !== null || run.status !== 'running') continue;
    await options.conductor.advanceRun(id);
    for (const machine of run.machines) await reconcileMachine(options, { run: id, machine });
  }
}

/** Looking offers every wanted job; one that ended in BullMQ but not in the record is replaced by its next try. */
export async function reconcileMachine(
  { queues, conductor }: Pick<SchedulerOptions, 'queues' | 'conductor'>,
  of: { run: string; machine: string },
): Promise<void> {
  const advance = await conductor.look(of);
  for (const job of advance?.jobs ?? []) {
    if ((await queues.look(job)) !== 'ended') continue;
    await conductor.change(of, (record, view, now) =>
      replaceLostJob(record, { job, now, tries: view.tries }),
    );
  }
}
