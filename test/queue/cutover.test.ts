/** What makes a wave more than many machines: order, gates, holds, approval, the way back. Windows: window.test.ts */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { approveRun, holdRun, releaseRun } from '../../src/domain/advance-wave.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import { type Job, stepKey } from '../../src/domain/job.ts';
import {
  cancelMachine,
  holdMachine,
  releaseMachine,
  retryMachine,
  rollBackMachine,
} from '../../src/domain/machine-changes.ts';
import type { RunRecord, Say } from '../../src/domain/run-record.ts';
import { attemptStep, type RunStep } from '../../src/queue/attempt.ts';
import { createConductor } from '../../src/queue/conductor.ts';
import { startPool } from '../../src/queue/pool.ts';
import { nameIn, openRunGround, type RunGround, succeed } from './run-ground.ts';

let ground: RunGround;
beforeAll(async () => {
  ground = await openRunGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

const SAY: Say = { by: 'ops@host', at: 1, reason: null };

const of = (run: RunRecord, machine: string) => ({ run: run.id, machine: nameIn(run, machine) });

const failing =
  (at: string, error = new LandfallError({ code: 'boot-failed', message: 'no boot' })): RunStep =>
  async (work) => {
    if (`${work.job.machine.split('-run-')[0]} ${stepKey(work.job)}` === at) throw error;
    return succeed(work);
  };

/** Hangs at one step of any machine until it is aborted, or until it is let go. */
function hangingAt(step: string) {
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

async function storyOf(run: RunRecord): Promise<string[]> {
  const events = await Array.fromAsync(ground.state.events.readAll(run.id, '0'));
  return events.flatMap((event) =>
    event.type === 'machine' ? [`${event.machine.split('-run-')[0]} ${event.status}`] : [],
  );
}

describe('a machine that comes after others', () => {
  test('starts once they have landed, those of a group all of them', async () => {
    const run = await ground.begin({
      machines: {
        web: { after: ['data', 'cache'] },
        db1: { group: 'data' },
        db2: { group: 'data', after: ['db1'] },
        cache: {},
      },
      wave: { groups: { data: { stopAfter: null } } },
    });
    expect(await ground.state.machines.counts(run.id)).toMatchObject({ blocked: 2, moving: 2 });
    await ground.withPools(succeed, () => ground.untilStatus(run, 'landed'));
    const story = await storyOf(run);
    expect(story.indexOf('db2 moving')).toBeGreaterThan(story.indexOf('db1 landed'));
    expect(story.indexOf('web moving')).toBeGreaterThan(story.indexOf('db2 landed'));
    expect(story.indexOf('web moving')).toBeGreaterThan(story.indexOf('cache landed'));
    expect((await ground.state.machines.counts(run.id)).groups).toEqual({
      data: { machines: 2, landed: 2, troubled: 0 },
    });
  });

  test('does not start where one of them failed; the run ends and says so', async () => {
    const run = await ground.begin({ machines: { db: {}, web: { after: ['db'] }, other: {} } });
    await ground.withPools(failing('db import'), async () => {
      await ground.untilStatus(run, 'partial');
      expect((await ground.record(run, 'web')).status).toBe('blocked');
    });
    // The operator mends it, and what waited in vain goes on.
    await ground.conductor.change(of(run, 'db'), retryMachine);
    await ground.withPools(succeed, () => ground.untilStatus(run, 'landed'));
  });

  test('is set free by the reconciler where the landing’s worker was killed before it could', async () => {
    const run = await ground.begin({
      machines: { db: { group: 'data' }, web: { after: ['db'] }, app: { after: ['data'] } },
      wave: { groups: { data: { stopAfter: null } } },
    });
    const { state, queues } = ground;
    const machines = { ...state.machines, dependents: async () => [] };
    const dying = createConductor({ state: { ...state, machines }, queues });
    await ground.conductor.change(of(run, 'db'), (record) => ({
      ...record,
      steps: Object.fromEntries(
        Object.entries(record.steps).map(([key, step]) => [
          key,
          step.stage === 'admit'
            ? { ...step, state: 'active' }
            : { ...step, state: step.stage === 'rollback' ? 'pending' : 'done' },
        ]),
      ),
    }));
    const admit: Job = { ...of(run, 'db'), stage: 'admit', disk: null, pass: 0, try: 1 };
    const signal = new AbortController().signal;
    await attemptStep({ state, conductor: dying, runStep: succeed }, { job: admit, signal });
    expect((await ground.record(run, 'db')).status).toBe('landed');
    expect(await state.machines.counts(run.id)).toMatchObject({ blocked: 2 });
    await ground.withPools(succeed, () => ground.untilStatus(run, 'landed'));
  });
});

describe('the gate of a group', () => {
  test('holds the run after too many failures; once released, what failed before does not hold it again', async () => {
    const run = await ground.begin({
      machines: { a: { group: 'g' }, b: { group: 'g' }, c: { group: 'g' } },
      wave: { groups: { g: { stopAfter: { failures: 0 } } } },
      limits: { machines: 1 },
    });
    await ground.withPools(failing('a upload/0'), async () => {
      await ground.untilStatus(run, 'held');
      expect((await ground.state.runs.get(run.id))?.hold).toMatchObject({
        by: 'gate of g',
        reason: '1 of the 3 machines of group g did not land',
      });
      expect(await ground.state.machines.counts(run.id)).toMatchObject({ failed: 1, waiting: 2, moving: 0 });
      await ground.conductor.changeRun(run.id, releaseRun);
      await ground.untilStatus(run, 'partial');
    });
    const events = await Array.fromAsync(ground.state.events.readAll(run.id, '0'));
    const holds = events.filter((event) => event.type === 'operator' && event.action === 'hold');
    expect(holds).toHaveLength(1);
    expect(await ground.state.machines.counts(run.id)).toMatchObject({
      landed: 2,
      groups: { g: { landed: 2, troubled: 1 } },
    });
  });
});

describe('a run that needs approval', () => {
  test('touches nothing until somebody gives it', async () => {
    const run = await ground.begin({ machines: { a: {} }, wave: { isApprovalRequired: true } });
    expect(run.status).toBe('scheduled');
    await ground.withPools(succeed, async () => {
      await ground.conductor.lookAtRun(run.id);
      expect((await ground.record(run, 'a')).status).toBe('waiting');
      const approved = await ground.conductor.changeRun(run.id, (record) => approveRun(record, SAY), [
        { type: 'operator', run: run.id, machine: null, action: 'approve', by: SAY.by, reason: null },
      ]);
      expect(approved?.approval).toEqual(SAY);
      await ground.untilStatus(run, 'landed');
    });
    const events = await Array.fromAsync(ground.state.events.readAll(run.id, '0'));
    const approvals = events.filter((event) => event.type === 'operator');
    expect(approvals).toHaveLength(1);
    const first = events.findIndex((event) => event.type === 'machine');
    expect(events.findIndex((event) => event.type === 'operator')).toBeLessThan(first);
  });
});

describe('a run that is held', () => {
  test('ends what runs, begins nothing, and goes on from there when it is released', async () => {
    const run = await ground.begin({ machines: { a: {}, b: {} }, limits: { machines: 1 } });
    const { runStep, entered, letGo } = hangingAt('upload/0');
    await ground.withPools(runStep, async () => {
      await entered;
      await ground.conductor.changeRun(run.id, (record) => holdRun(record, SAY));
      letGo();
      await expect.poll(async () => (await ground.record(run, 'a')).steps['upload/0']?.state).toBe('done');
      expect((await ground.state.runs.get(run.id))?.status).toBe('held');
      await ground.conductor.lookAtRun(run.id);
      expect((await ground.record(run, 'a')).steps.import).toMatchObject({ state: 'pending' });
      await ground.conductor.changeRun(run.id, releaseRun);
      await ground.untilStatus(run, 'landed');
    });
    expect((await ground.record(run, 'a')).steps.import).toMatchObject({ try: 1, failures: 0 });
  });

  test('lets a job that was offered before be delivered again after its release, at the same try', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    await ground.conductor.changeRun(run.id, (record) => holdRun(record, SAY));
    const job: Job = { ...of(run, 'a'), stage: 'export', disk: '0', pass: 0, try: 1 };
    expect(await ground.queues.look(job)).toBe('live');
    await ground.withPools(succeed, async () => {
      await expect.poll(() => ground.queues.look(job), { timeout: 5_000 }).toBe('missing');
      expect((await ground.record(run, 'a')).steps['export/0']).toMatchObject({ startedAt: null });
      await ground.conductor.changeRun(run.id, releaseRun);
      await ground.untilStatus(run, 'landed');
    });
    expect((await ground.record(run, 'a')).steps['export/0']).toMatchObject({ try: 1, failures: 0 });
  });

  test('is held once where two operators say so at the same time', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    const other = createConductor({ state: ground.state, queues: ground.queues });
    const hold = (by: string) => (record: RunRecord) => holdRun(record, { ...SAY, by });
    const replies = await Promise.all([
      ground.conductor.changeRun(run.id, hold('anna')),
      other.changeRun(run.id, hold('ben')),
    ]);
    expect(replies.filter((reply) => reply !== null)).toHaveLength(1);
    expect((await ground.state.runs.get(run.id))?.status).toBe('held');
  });
});

describe('a machine that is held in the middle of a step', () => {
  test('has its attempt aborted, and does that step again when it is released, without a failed try', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    const { runStep, entered, aborted, letGo } = hangingAt('upload/0');
    await ground.withPools(runStep, async () => {
      await entered;
      await ground.conductor.change(of(run, 'a'), holdMachine);
      expect(await aborted).toBe('stop');
      await ground.untilStatus(run, 'held');
      letGo();
      await ground.conductor.change(of(run, 'a'), releaseMachine);
      await ground.untilStatus(run, 'landed');
    });
    expect((await ground.record(run, 'a')).steps['upload/0']).toMatchObject({ try: 2, failures: 0 });
  });
});

describe('an attempt whose signal to stop got lost', () => {
  test('ends all the same, as its record says', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    const { runStep, entered, aborted } = hangingAt('export/0');
    const { state, conductor } = ground;
    await using pool = await startPool({
      stage: 'export',
      concurrency: 1,
      state,
      conductor,
      runStep,
      onError: () => {},
      watchEveryMs: 50,
    });
    void pool;
    await entered;
    // Nobody listens for signals here.
    await conductor.change(of(run, 'a'), (record) => rollBackMachine(record, null));
    expect(await aborted).toBe('stop');
  });
});

describe('a machine that failed and whose wave wants it back', () => {
  test('is rolled back: its other attempts end, and the rollback’s own does not', async () => {
    const run = await ground.begin({ machines: { a: { onFailure: 'rollback' } }, disks: 2 });
    const seen: string[] = [];
    const otherDisk = Promise.withResolvers<void>();
    const rollback = Promise.withResolvers<AbortSignal>();
    const goOn = Promise.withResolvers<void>();
    const runStep: RunStep = async (work) => {
      const { signal } = work.context;
      seen.push(stepKey(work.job));
      if (stepKey(work.job) === 'upload/0') {
        await otherDisk.promise;
        throw new LandfallError({ code: 'target-denied', message: 'no' });
      }
      if (stepKey(work.job) === 'upload/1') {
        otherDisk.resolve();
        await sleep(60_000, undefined, { signal }).catch(() => seen.push('upload/1 aborted'));
        throw signal.reason;
      }
      if (work.job.stage === 'rollback') {
        rollback.resolve(signal);
        await goOn.promise;
      }
      return succeed(work);
    };
    await ground.withPools(runStep, async () => {
      const signal = await rollback.promise;
      await expect.poll(() => seen.includes('upload/1 aborted')).toBe(true);
      // A second word to stop, as of a machine that was held before, does not reach it either.
      await ground.state.redis.publish(
        '{landfall}:signals',
        JSON.stringify({ type: 'stop', ...of(run, 'a') }),
      );
      await sleep(50);
      expect(signal.aborted).toBe(false);
      goOn.resolve();
      await ground.untilStatus(run, 'rolled-back');
    });
    const record = await ground.record(run, 'a');
    expect(record).toMatchObject({ status: 'rolled-back', error: { code: 'target-denied' }, landing: null });
    expect(await ground.state.redis.hget('{landfall}:claims', record.machine.identity)).toBeNull();
  });

  test('goes back although its run is held', async () => {
    const run = await ground.begin({ machines: { a: { onFailure: 'leave' } } });
    await ground.withPools(failing('a import'), async () => {
      await ground.untilStatus(run, 'failed');
      await ground.conductor.changeRun(run.id, (record) => holdRun(record, SAY));
      await ground.conductor.change(of(run, 'a'), (record) => rollBackMachine(record, null));
      await ground.untilMachine(run, 'a', 'rolled-back');
    });
  });

  test('ends in one way where one operator cancels and another rolls back', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    const replies = await Promise.all([
      ground.conductor.change(of(run, 'a'), (record, _view, now) => cancelMachine(record, now)),
      ground.conductor.change(of(run, 'a'), (record) => rollBackMachine(record, null)),
    ]);
    expect(replies[1]?.status).toBe('rolling-back');
    await ground.withPools(succeed, () => ground.untilMachine(run, 'a', 'rolled-back'));
    const counts = await ground.state.machines.counts(run.id);
    expect(counts).toMatchObject({ moving: 0, cancelled: 0, 'rolling-back': 0, 'rolled-back': 1 });
  });

  test('has its rollback done once where the job is delivered twice', async () => {
    const run = await ground.begin({ machines: { a: {} } });
    await ground.conductor.change(of(run, 'a'), (record) => rollBackMachine(record, null));
    const job: Job = { ...of(run, 'a'), stage: 'rollback', disk: null, pass: 0, try: 1 };
    let times = 0;
    const counting: RunStep = (work) => {
      times += 1;
      return succeed(work);
    };
    const deps = { state: ground.state, conductor: ground.conductor, runStep: counting };
    for (let delivery = 0; delivery < 2; delivery += 1)
      expect(await attemptStep(deps, { job, signal: new AbortController().signal })).toEqual({
        kind: 'ended',
      });
    expect(times).toBe(1);
  });
});

describe('a limit per host', () => {
  test('keeps so many of each host on the move, and lets nobody wait behind a host that is full', async () => {
    const hosts = ['h1', 'h1', 'h1', 'h1', 'h2', 'h2'];
    const machines = Object.fromEntries(hosts.map((host, index) => [`m${index}`, { host }]));
    const run = await ground.begin({ machines, limits: { machines: 3, machinesPerHost: 1 } });
    expect(await storyOf(run)).toEqual(['m0 moving', 'm4 moving']);
    const now = new Map<string, number>();
    let most = 0;
    await ground.withPools(
      async (work) => {
        const host = work.record.machine.host ?? '';
        now.set(host, (now.get(host) ?? 0) + 1);
        most = Math.max(most, now.get(host) ?? 0);
        await sleep(2);
        now.set(host, (now.get(host) ?? 0) - 1);
        return succeed(work);
      },
      () => ground.untilStatus(run, 'landed'),
    );
    expect(most).toBe(1);
  });
});
