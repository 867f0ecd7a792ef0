/** A real Redis with queues and a conductor, runs on it, and pools that do steps as a test says. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { type Job, POOLS, type PoolName, stepKey } from '../../src/domain/job.ts';
import type { MachineRecord, MachineStatus, StepOutput } from '../../src/domain/machine-record.ts';
import type { Clock } from '../../src/domain/ports.ts';
import type { RunRecord, RunStatus } from '../../src/domain/run-record.ts';
import type { Wave, WaveMachine } from '../../src/domain/wave.ts';
import type { RunStep } from '../../src/queue/attempt.ts';
import { type Conductor, createConductor } from '../../src/queue/conductor.ts';
import { type Pool, startPool } from '../../src/queue/pool.ts';
import { openQueues, type Queues } from '../../src/queue/queues.ts';
import { startScheduler } from '../../src/queue/scheduler.ts';
import { listenForSignals } from '../../src/state/signals.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

export type MachineWish = Partial<Pick<WaveMachine, 'group' | 'after' | 'onFailure'>> & { host?: string };

export type RunWish = {
  /** By name; the run's id is put behind it. `after` names machines or groups as they are given here. */
  machines: Record<string, MachineWish>;
  wave?: Partial<Omit<Wave, 'limits'>>;
  limits?: Partial<Wave['limits']>;
  disks?: number;
  window?: RunRecord['window'];
  site?: string;
};

export type RunGround = AsyncDisposable & {
  url: string;
  state: State;
  queues: Queues;
  conductor: Conductor;
  /** Moves the clock of all decisions. */
  shiftClock(byMs: number): void;
  /** Creates a run and looks at it once. */
  begin(wish: RunWish, by?: Conductor): Promise<RunRecord>;
  withPools<T>(runStep: RunStep, body: () => Promise<T>, options?: { reconcileEveryMs?: number }): Promise<T>;
  record(run: RunRecord, machine: string): Promise<MachineRecord>;
  untilStatus(run: RunRecord, status: RunStatus): Promise<void>;
  untilMachine(run: RunRecord, machine: string, status: MachineStatus): Promise<void>;
};

/** But for its first round, the reconciler must not do what events and timers are there for. */
const SELDOM_MS = 60_000;

export const succeed: RunStep = async ({ job }) => ({ kind: 'done', value: outputOf(job) });

/** `web` of run `run-1` is `web-run-1`: jobs of different tests must not meet. */
export const nameIn = (run: Pick<RunRecord, 'id'>, machine: string): string => `${machine}-${run.id}`;

export async function openRunGround(): Promise<RunGround> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestRedis());
  const real = stack.use(openState(server.url));
  let shiftMs = 0;
  const clock: Clock = { ...real.clock, now: async () => (await real.clock.now()) + shiftMs };
  const state: State = { ...real, clock };
  const queues = stack.use(openQueues(server.url));
  const conductor = createConductor({ state, queues });
  const owned = stack.move();

  const record: RunGround['record'] = async (run, machine) => {
    const found = await state.machines.get(run.id, nameIn(run, machine));
    if (found === null) throw new Error(`no record of ${machine}`);
    return found;
  };
  const patience = { timeout: 15_000, interval: 20 };
  return {
    url: server.url,
    state,
    queues,
    conductor,
    record,
    shiftClock(byMs) {
      shiftMs += byMs;
    },
    async begin(wish, by = conductor) {
      const run = makeWished(`run-${randomUUID().slice(0, 8)}`, wish);
      await state.runs.create(run, recordsOf(run, wish));
      return by.advanceRun(run.id);
    },
    async withPools(runStep, body, { reconcileEveryMs = SELDOM_MS } = {}) {
      await using stack = new AsyncDisposableStack();
      const onError = (): void => {};
      const open = (stage: PoolName): Promise<Pool> =>
        startPool({ stage, concurrency: 4, state, conductor, runStep, onError });
      const pools = await Promise.all(POOLS.map(open));
      stack.use(
        await listenForSignals(state.redis, {
          onStop: (signal) => pools.forEach((pool) => void pool.stop(signal)),
        }),
      );
      for (const pool of pools) stack.use(pool);
      stack.use(await startScheduler({ state, queues, conductor, onError, reconcileEveryMs }));
      return await body();
    },
    untilStatus: (run, status) =>
      expect.poll(async () => (await state.runs.get(run.id))?.status, patience).toBe(status),
    untilMachine: (run, machine, status) =>
      expect.poll(async () => (await record(run, machine)).status, patience).toBe(status),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Hangs at one step of any machine until it is aborted, or until it is let go. */
export function hangingAt(step: string) {
  const entered = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  const gate = Promise.withResolvers<void>();
  const runStep: RunStep = async (work) => {
    if (stepKey(work.job) !== step) return succeed(work);
    entered.resolve();
    const { signal } = work.context;
    const abortion = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    try {
      await Promise.race([gate.promise, abortion]);
    } catch (reason) {
      aborted.resolve(reason);
      throw reason;
    }
    return succeed(work);
  };
  return { runStep, entered: entered.promise, aborted: aborted.promise, letGo: () => gate.resolve() };
}

function makeWished(id: string, wish: RunWish): RunRecord {
  const names = Object.keys(wish.machines);
  const inRun = (node: string): string => (names.includes(node) ? nameIn({ id }, node) : node);
  const base = makeWave(
    id,
    names.map((name) => nameIn({ id }, name)),
    wish.limits,
  );
  const machines = base.machines.map((plan, index) => {
    const { host: _host, after = [], ...wished } = Object.values(wish.machines)[index] ?? {};
    return { ...plan, ...wished, after: after.map(inRun) };
  });
  return { ...makeRun(id, { ...base, ...wish.wave, machines }), window: wish.window ?? null };
}

function recordsOf(run: RunRecord, wish: RunWish): MachineRecord[] {
  return makeRecords(run, wish.disks).map((record, index) => ({
    ...record,
    site: wish.site ?? null,
    machine: { ...record.machine, host: Object.values(wish.machines)[index]?.host ?? null },
  }));
}

export function outputOf(job: Job): StepOutput {
  switch (job.stage) {
    case 'shutdown':
    case 'rollback':
      return { stage: job.stage };
    case 'export':
      return {
        stage: 'export',
        disk: job.disk ?? '',
        image: { site: null, bytes: 1, layout: { kind: 'blank' } },
      };
    case 'convert':
      return { stage: 'convert', prepared: {} };
    case 'upload': {
      const artifact = {
        disk: job.disk ?? '',
        kind: 'object',
        container: 'raw',
        bytes: 1,
        ref: {},
        digests: [],
      } as const;
      return { stage: 'upload', disk: job.disk ?? '', artifact };
    }
    case 'validate':
      return { stage: 'validate', proof: 'proof.json' };
    case 'import':
    case 'admit':
      return { stage: job.stage, landing: { kind: 'instance', id: 'i-1', ref: {} } };
  }
}
