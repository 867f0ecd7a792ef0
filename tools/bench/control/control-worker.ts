/** One worker process of the bench `control`: its steps do nothing. `node control-worker.ts JOB` */
import { Queue, Worker } from 'bullmq';
import { type Job, POOLS, poolOf, type StepStage } from '../../../src/domain/job.ts';
import { keepHeapSmall } from '../../../src/processes/small-heap.ts';
import { createConductor } from '../../../src/queue/conductor.ts';
import { startPool } from '../../../src/queue/pool.ts';
import { openQueues, queueConnection } from '../../../src/queue/queues.ts';
import { startScheduler } from '../../../src/queue/scheduler.ts';
import { PREFIX } from '../../../src/state/keys.ts';
import { listenForSignals } from '../../../src/state/signals.ts';
import { openState } from '../../../src/state/state.ts';
import {
  CONCURRENCY,
  type ControlJob,
  type ControlMessage,
  FIRST_STEP,
  STEPS_OF_A_LANDING,
} from './control-job.ts';
import { makeOutput } from './step-output.ts';

const COUNT_EVERY_MS = 100;

const stopped = Promise.withResolvers<void>();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopped.resolve());
// As every process with worker pools does.
keepHeapSmall();

const job = JSON.parse(process.argv[2] ?? '') as ControlJob;
const count = { steps: 0, chains: 0, lastFirstStepAt: 0 };
{
  await using workers = job.kind === 'landfall' ? await serveLandfall() : await servePlain();
  void workers;
  tell({ kind: 'ready' });
  let told = 0;
  const timer = setInterval(() => {
    if (count.steps === told) return;
    told = count.steps;
    tell({ kind: 'count', ...count });
  }, COUNT_EVERY_MS);
  await stopped.promise;
  clearInterval(timer);
  tell({ kind: 'count', ...count });
}

function noteStep(stage: StepStage): void {
  count.steps += 1;
  if (stage === FIRST_STEP) count.lastFirstStepAt = Date.now();
  if (stage === STEPS_OF_A_LANDING.at(-1)) count.chains += 1;
}

async function serveLandfall(): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const state = stack.use(openState(job.redisUrl));
  const queues = stack.use(openQueues(job.redisUrl));
  const conductor = createConductor({ state, queues });
  const onError = (error: Error): void => console.error(error);
  const runStep = async (work: { job: Job }) => {
    noteStep(work.job.stage);
    return { kind: 'done', value: makeOutput(work.job) } as const;
  };
  if (job.schedules) stack.use(await startScheduler({ state, queues, conductor, onError }));
  const open = { concurrency: CONCURRENCY, state, conductor, runStep, onError };
  const pools = await Promise.all(POOLS.map((stage) => startPool({ ...open, stage })));
  for (const pool of pools) stack.use(pool);
  stack.use(
    await listenForSignals(state.redis, {
      onStop: (signal) => pools.forEach((pool) => void pool.stop(signal)),
    }),
  );
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The same pools and chains, and nothing that remembers anything but BullMQ. */
async function servePlain(): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const connection = queueConnection(job.redisUrl);
  const queues = new Map(POOLS.map((pool) => [pool, new Queue(pool, { connection, prefix: PREFIX })]));
  for (const queue of queues.values()) stack.defer(() => queue.close());
  for (const pool of POOLS) {
    const worker = new Worker<{ chain: number; step: number }>(
      pool,
      async ({ data: { chain, step } }) => {
        const [done, next] = STEPS_OF_A_LANDING.slice(step, step + 2);
        if (done !== undefined) noteStep(done);
        if (next !== undefined)
          await queues.get(poolOf(next))?.add(next, { chain, step: step + 1 }, { jobId: `${chain}.${next}` });
      },
      { connection, prefix: PREFIX, concurrency: CONCURRENCY },
    );
    await worker.waitUntilReady();
    stack.defer(() => worker.close());
  }
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function tell(message: ControlMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
