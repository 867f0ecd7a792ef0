/**
 * Timers and the reconciler: what brings a run to its end even when events were lost; and the throughput of runs, for eyes.
 * Several may run; all they do is idempotent.
 */
import { DelayedError, Worker } from 'bullmq';
import { replaceLostJob } from '../domain/machine-changes.ts';
import { PREFIX } from '../state/keys.ts';
import { sweepSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';
import { within } from '../state/within.ts';
import { eachAtOnce } from './at-once.ts';
import type { Conductor, WantedJob } from './conductor.ts';
import { type Queues, queueConnection, WAKE_QUEUE, type WakeUp } from './queues.ts';
import { startThroughputSampler } from './throughput-sampler.ts';

const RECONCILE_MS = 30_000;
/** A timer that is early looks again after so long at the latest: the clock that made it early may be put right. */
const MAX_EARLY_MS = 30_000;
const LOOKED_UP_AT_ONCE = 25;
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
  const sampler = startThroughputSampler(options);

  const reconcile = (): Promise<void> => reconcileAll(options, stopping.signal).catch(onError);
  let round = reconcile();
  const interval = setInterval(() => {
    round = round.then(reconcile);
  }, reconcileEveryMs);

  return {
    async [Symbol.asyncDispose]() {
      clearInterval(interval);
      stopping.abort();
      await within(CLOSE_MS, Promise.all([timers.close(), round, sampler[Symbol.asyncDispose]()]));
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
        await job.moveToDelayed(Date.now() + Math.min(earlyByMs, MAX_EARLY_MS), token);
        throw new DelayedError();
      }
      const { run, machine } = job.data;
      if (machine === null) await conductor.lookAtRun(run);
      else await conductor.look({ run, machine });
    },
    { connection: queueConnection(state.url), prefix: PREFIX, concurrency: 10 },
  );
  timers.on('error', onError);
  return timers;
}

/**
 * Makes up for whatever was lost: landings that set nobody free, moments of windows at which nobody was there, jobs. A run
 * that it cannot bring on does not keep it from the others.
 */
async function reconcileAll(options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  const { state, onError } = options;
  await sweepSlots(state.redis);
  await applyPauses(options).catch(onError);
  for (const id of await state.runs.unarchived()) {
    if (signal.aborted) return;
    await reconcileRun(options, { id, signal }).catch(onError);
  }
}

/** Whoever paused or resumed a pool may have been killed before its queue heard of it. */
async function applyPauses({ state, queues }: SchedulerOptions): Promise<void> {
  for (const { pool, site, paused } of await state.pools.read())
    await queues.setPaused({ pool, site }, paused !== null);
}

async function reconcileRun(
  options: SchedulerOptions,
  { id, signal }: { id: string; signal: AbortSignal },
): Promise<void> {
  const { state, conductor } = options;
  const run = await state.runs.get(id);
  if (run === null) return;
  await conductor.unblockLanded(run);
  const { wanted } = await conductor.lookAtRun(id);
  await eachAtOnce(wanted, {
    atOnce: LOOKED_UP_AT_ONCE,
    async work(each) {
      if (!signal.aborted) await replaceIfLost(options, each);
    },
  });
}

/** A look has offered the job; one that ended in BullMQ but not in the record is replaced by its next try. */
async function replaceIfLost(
  { queues, conductor }: Pick<SchedulerOptions, 'queues' | 'conductor'>,
  { job, site }: WantedJob,
): Promise<void> {
  if ((await queues.look(job, site)) !== 'ended') return;
  await conductor.change(job, (record, view, now) => replaceLostJob(record, { job, now, tries: view.tries }));
}
