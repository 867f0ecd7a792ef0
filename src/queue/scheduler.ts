/** Timers and the reconciler: what brings a run to its end even when events were lost. Several may run; all they do is idempotent. */
import { DelayedError, Worker } from 'bullmq';
import { replaceLostJob } from '../domain/machine-changes.ts';
import { PREFIX } from '../state/keys.ts';
import { sweepSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';
import { within } from '../state/within.ts';
import type { Conductor } from './conductor.ts';
import { type Queues, queueConnection, WAKE_QUEUE, type WakeUp } from './queues.ts';

const RECONCILE_MS = 30_000;
const CLOSE_MS = 1_500;

export type SchedulerOptions = {
  state: State;
  queues: Queues;
  conductor: Conductor;
  onError: (error: Error) => void;
  reconcileEveryMs?: number;
};

export async function startScheduler(options: SchedulerOptions): Promise<AsyncDisposable> {
  const { onError, reconcileEveryMs = RECONCILE_MS } = options;
  const stopping = new AbortController();
  const timers = startTimers(options);
  await timers.waitUntilReady();

  const reconcile = (): Promise<void> => reconcileAll(options, stopping.signal).catch(onError);
  let round = reconcile();
  const interval = setInterval(() => {
    round = round.then(reconcile);
  }, reconcileEveryMs);

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(interval);
      stopping.abort();
      await within(CLOSE_MS, Promise.all([timers.close(), round]));
    },
  };
}

/** BullMQ delays by the adding host's clock, the record by Redis's: a timer that fires early waits for the rest. */
function startTimers({ state, conductor, onError }: SchedulerOptions): Worker<WakeUp> {
  const timers = new Worker<WakeUp>(
    WAKE_QUEUE,
    async (job, token) => {
      const earlyByMs = job.data.at - (await state.clock.now());
      if (earlyByMs > 0) {
        await job.moveToDelayed(Date.now() + earlyByMs, token);
        throw new DelayedError();
      }
      await conductor.look(job.data);
    },
    { connection: queueConnection(state.url), prefix: PREFIX, concurrency: 10 },
  );
  timers.on('error', onError);
  return timers;
}

/** Goes by the counts, not by the run's status: they are what the commits keep. */
async function reconcileAll(options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const { state, conductor } = options;
  await sweepSlots(state.redis);
  for (const id of await state.runs.unarchived()) {
    const { waiting, moving } = await state.machines.counts(id);
    if (waiting + moving === 0) continue;
    const run = await conductor.advanceRun(id);
    for (const machine of run.machines) {
      if (signal.aborted) return;
      await reconcileMachine(options, { run: id, machine });
    }
  }
}

/** Looking offers every wanted job; one that ended in BullMQ but not in the record is replaced by its next try. */
async function reconcileMachine(
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
