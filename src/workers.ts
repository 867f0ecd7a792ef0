/** Worker pools of one process, with what keeps them in step with the others: stop signals, heartbeat, timers. */
import { randomUUID } from 'node:crypto';
import { availableParallelism, hostname, loadavg } from 'node:os';
import type { App } from './app.ts';

import type { PoolName } from './domain/job.ts';
import type { Log } from './log.ts';
import { sweepScratchFolders } from './processes/scratch-folder.ts';
import { keepHeapSmall } from './processes/small-heap.ts';
import { type Pool, startPool } from './queue/pool.ts';
import { startScheduler } from './queue/scheduler.ts';
import { beat, endHeartbeat, HEARTBEAT_MS, type Heartbeat } from './state/heartbeats.ts';
import { concurrencyOf } from './state/pool-settings.ts';
import { listenForSignals } from './state/signals.ts';
import { within } from './state/within.ts';

export type PoolSize = { stage: PoolName; concurrency: number };

/** One process on two cores: only upload works hard, and what it holds of a disk × concurrency is its memory; the others wait. */
export const DEFAULT_POOLS: readonly PoolSize[] = [
  { stage: 'export', concurrency: 8 },
  { stage: 'convert', concurrency: 4 },
  { stage: 'upload', concurrency: 4 },
  { stage: 'import', concurrency: 4 },
  { stage: 'validate', concurrency: 4 },
  { stage: 'power', concurrency: 16 },
];

export async function startWorkers(options: {
  app: App;
  pools: readonly PoolSize[];
  /** What is bound to a site is done for this one only; null or left out: for sources that name none. */
  site?: string | null;
  /** Fire timers and reconcile in this process. */
  schedules: boolean;
  log: Log;
}): Promise<AsyncDisposable> {
  const { app, site = null, schedules, log } = options;
  const { state, queues, conductor, runStep } = app;
  keepHeapSmall();
  await sweepScratchFolders();
  const onError = throttled((error) => log('warn', `A worker could not reach Redis: ${error.message}`));
  await using stack = new AsyncDisposableStack();
  const { pid } = process;
  const pools: Pool[] = [];
  const identity = { id: randomUUID(), host: hostname(), pid, site, schedules };
  const startedAt = await state.clock.now();
  const heedSettings = async (): Promise<void> => {
    const settings = await state.pools.read();
    for (const pool of pools) {
      const concurrency = concurrencyOf(settings, { pool: pool.stage, site });
      await pool.setConcurrency(concurrency);
    }
  };
  const heart = stack.use(
    await keepBeating(app, {
      // Also here: a signal may be lost.
      before: heedSettings,
      describe: () => ({
        ...identity,
        pools: options.pools.map(({ stage, concurrency }) => ({
          stage,
          concurrency: pools.find((pool) => pool.stage === stage)?.concurrency ?? concurrency,
        })),
        startedAt,
        load: (loadavg()[0] ?? 0) / availableParallelism(),
        memoryBytes: process.memoryUsage.rss(),
        jobs: pools.flatMap((pool) => pool.jobs()),
      }),
    }),
  );
  if (schedules) {
    stack.use(await startScheduler({ state, queues, conductor, onError }));
    // Only who schedules loads the mailer.
    const { startNotifier } = await import('./notify/notifier.ts');
    stack.use(startNotifier({ state, onError }));
  }
  stack.use(
    await listenForSignals(state.redis, {
      onStop(signal) {
        for (const pool of pools) pool.stop(signal);
      },
      onPools: () => void heart.beatNow().catch(onError),
    }),
  );
  // Last on the stack, so first to end, and all at once: jobs are given back within two seconds.
  stack.defer(async () => void (await Promise.all(pools.map((pool) => pool[Symbol.asyncDispose]()))));
  const settings = await state.pools.read();
  const open = (size: PoolSize): Promise<Pool> => {
    const concurrencySet = concurrencyOf(settings, { pool: size.stage, site });
    return startPool({ ...size, concurrencySet, site, state, conductor, runStep, onError });
  };
  for (const size of options.pools) pools.push(await open(size));
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function keepBeating(
  { state }: App,
  { before, describe }: { before(): Promise<void>; describe(): Heartbeat },
): Promise<AsyncDisposable & { beatNow(): Promise<void> }> {
  const { id } = describe();
  const once = async (): Promise<void> => {
    await before();
    await beat(state.redis, describe(), await state.clock.now());
  };
  await once();
  const timer = setInterval(() => void once().catch(() => {}), HEARTBEAT_MS);
  return {
    beatNow: once,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await within(FAREWELL_MS, endHeartbeat(state.redis, id));
    },
  };
}

/** Without it the heartbeat ends by itself, after 15 s. */
const FAREWELL_MS = 500;

const QUIET_MS = 10_000;

/** A Redis that is away makes every connection complain, several times a second. */
function throttled(report: (error: Error) => void): (error: Error) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (performance.now() - last < QUIET_MS) return;
    last = performance.now();
    report(error);
  };
}
