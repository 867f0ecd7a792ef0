/**
 * Machines whose stages do nothing, so that all there is to do is to control them: 10,000 of them through real Redis and
 * BullMQ, beside BullMQ alone with as many empty jobs, each of which adds the next; and 500 that are due at one instant.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { poolOf } from '../../../src/domain/job.ts';
import { createConductor } from '../../../src/queue/conductor.ts';
import { openQueues, queueConnection } from '../../../src/queue/queues.ts';
import { PREFIX } from '../../../src/state/keys.ts';
import { startRedisServer } from '../../../src/state/redis-server.ts';
import { openState, type State } from '../../../src/state/state.ts';
import type { BenchGround } from '../bench-ground.ts';
import { type BenchRow, toRow } from '../bench-row.ts';
import type { Bench } from '../benches.ts';
import { startControlCrew } from '../control/control-crew.ts';
import { FIRST_STEP, STEPS_OF_A_LANDING } from '../control/control-job.ts';
import { makeControlRun } from '../control/control-run.ts';
import { measureDeciding } from '../control/deciding.ts';

const MACHINES = 10_000;
const MOVING_AT_ONCE = 400;
const DUE_AT_ONCE = 500;
/** Until the window opens: every process is there by then. */
const NOTICE_MS = 3_000;
const PATIENCE_MS = 10 * 60_000;
const KIB = 1024;
const BATCH = 100;

type Flow = { jobsPerSecond: number; forgotten: number; kibPerMachine: number };

export const control: Bench = {
  name: 'control',
  summary: `${MACHINES} machines whose stages do nothing, beside BullMQ alone with as many empty jobs`,
  async run(ground) {
    const flows: Flow[] = [];
    const plain: number[] = [];
    const lateMs: number[] = [];
    const decidingMs: number[] = [];
    for (let run = 0; run < ground.runs; run += 1) {
      flows.push(await withRedis(ground, (redisUrl) => landAll(redisUrl, ground.signal)));
      plain.push(await withRedis(ground, (redisUrl) => drainPlain(redisUrl, ground.signal)));
      lateMs.push(await withRedis(ground, (redisUrl) => startAtOnce(redisUrl, ground.signal)));
      decidingMs.push(decideAll());
    }
    const own = (landfall: number[]) => {
      const each = { landfall, peer: [] as number[] };
      return { each, against: 'nothing', ratio: 'none' } as const;
    };
    const rows: BenchRow[] = [
      toRow({
        name: 'control',
        unit: 'jobs/s',
        each: { landfall: flows.map((flow) => flow.jobsPerSecond), peer: plain },
        against: 'BullMQ alone',
        ratio: 'landfall/peer',
        goal: { of: 'landfall', atLeast: 1_500 },
      }),
      toRow({
        ...own(flows.map((flow) => flow.forgotten)),
        name: 'control-forgotten',
        unit: 'machines',
        by: 'worst',
        goal: { of: 'landfall', atMost: 0 },
      }),
      toRow({
        ...own(flows.map((flow) => flow.kibPerMachine)),
        name: 'control-memory',
        unit: 'KiB',
        by: 'worst',
        goal: { of: 'landfall', atMost: 25 },
      }),
      toRow({
        ...own(decidingMs),
        name: 'control-deciding',
        unit: 'ms',
        goal: { of: 'landfall', atMost: 1_000 },
      }),
      toRow({
        ...own(lateMs),
        name: 'control-instant',
        unit: 'ms',
        by: 'worst',
        goal: { of: 'landfall', atMost: 2_000 },
      }),
    ];
    return rows;
  },
};

/** Each measurement has a Redis of its own: what another left there would count. */
async function withRedis<T>(ground: BenchGround, measure: (redisUrl: string) => Promise<T>): Promise<T> {
  await using folder = await ground.openFolder();
  await using redis = await startRedisServer({ folder: join(folder.path, 'redis'), log: ground.say });
  return await measure(redis.url);
}

async function landAll(redisUrl: string, signal: AbortSignal): Promise<Flow> {
  await using state = openState(redisUrl);
  const emptyBytes = await usedBytes(state);
  await using crew = await startControlCrew({ redisUrl, kind: 'landfall' }, signal);
  const { run } = await createRun({
    state,
    machines: MACHINES,
    movingAtOnce: MOVING_AT_ONCE,
    opensInMs: null,
  });
  const startedAt = performance.now();
  await advance(redisUrl, run);
  await until(signal, async () => (await state.runs.get(run))?.status === 'landed');
  const seconds = (performance.now() - startedAt) / 1000;
  const kibPerMachine = ((await usedBytes(state)) - emptyBytes) / MACHINES / KIB;
  const { landed } = await state.machines.counts(run);
  await crew.finish();
  const steps = crew.counts().steps;
  // Each step once: one that was done twice stands for one that a crash could do twice.
  const wanted = MACHINES * STEPS_OF_A_LANDING.length;
  return {
    jobsPerSecond: wanted / seconds,
    forgotten: MACHINES - landed + Math.abs(steps - wanted),
    kibPerMachine,
  };
}

async function drainPlain(redisUrl: string, signal: AbortSignal): Promise<number> {
  await using crew = await startControlCrew({ redisUrl, kind: 'plain' }, signal);
  const queue = new Queue(poolOf(FIRST_STEP), { connection: queueConnection(redisUrl), prefix: PREFIX });
  try {
    const startedAt = performance.now();
    for (let at = 0; at < MACHINES; at += BATCH) {
      const chains = Array.from({ length: BATCH }, (_none, index) => at + index);
      await queue.addBulk(
        chains.map((chain) => ({
          name: FIRST_STEP,
          data: { chain, step: 0 },
          opts: { jobId: `${chain}.${FIRST_STEP}` },
        })),
      );
    }
    await until(signal, async () => crew.counts().chains === MACHINES);
    return (MACHINES * STEPS_OF_A_LANDING.length) / ((performance.now() - startedAt) / 1000);
  } finally {
    await queue.close();
  }
}

/** Gives how long after that instant the last of them began its first step. */
async function startAtOnce(redisUrl: string, signal: AbortSignal): Promise<number> {
  await using state = openState(redisUrl);
  await using crew = await startControlCrew({ redisUrl, kind: 'landfall' }, signal);
  const { run, opensAt } = await createRun({
    state,
    machines: DUE_AT_ONCE,
    movingAtOnce: Infinity,
    opensInMs: NOTICE_MS,
  });
  await advance(redisUrl, run);
  await until(signal, async () => (await state.runs.get(run))?.status === 'landed');
  await crew.finish();
  return crew.counts().lastFirstStepAt - opensAt;
}

function decideAll(): number {
  const run = makeControlRun({
    id: 'deciding',
    machines: MACHINES,
    movingAtOnce: MOVING_AT_ONCE,
    window: null,
    now: 1,
  });
  const { cpuMs, landed } = measureDeciding(run);
  if (landed !== MACHINES) throw new Error(`Only ${landed} of ${MACHINES} machines were decided to the end.`);
  return cpuMs;
}

async function createRun(wish: {
  state: State;
  machines: number;
  movingAtOnce: number;
  opensInMs: number | null;
}) {
  const { state, machines, movingAtOnce, opensInMs } = wish;
  const now = await state.clock.now();
  const opensAt = now + (opensInMs ?? 0);
  const window = opensInMs === null ? null : { opensAt, closesAt: opensAt + 6 * 3_600_000 };
  const id = `bench-${randomUUID()}`;
  const { run, records } = makeControlRun({ id, machines, movingAtOnce, window, now });
  await state.runs.create(run, records);
  return { run: id, opensAt };
}

/** As `landfall run` does: the crew does the rest. */
async function advance(redisUrl: string, run: string): Promise<void> {
  await using state = openState(redisUrl);
  await using queues = openQueues(redisUrl);
  await createConductor({ state, queues }).advanceRun(run);
}

async function usedBytes({ redis }: State): Promise<number> {
  const [, digits] = /^used_memory:(\d+)/m.exec(await redis.info('memory')) ?? [];
  return Number(digits);
}

async function until(signal: AbortSignal, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`The bench did not end within ${PATIENCE_MS / 60_000} min.`);
    await sleep(50, undefined, { signal });
  }
}
