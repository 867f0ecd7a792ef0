/** Holds, of a run and of a machine: by operators, at any moment, and what goes on from there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { holdRun, releaseRun } from '../../src/domain/advance-wave.ts';
import type { Job } from '../../src/domain/job.ts';
import { holdMachine, releaseMachine, rollBackMachine } from '../../src/domain/machine-changes.ts';
import type { RunRecord, Say } from '../../src/domain/run-record.ts';
import { createConductor } from '../../src/queue/conductor.ts';
import { startPool } from '../../src/queue/pool.ts';
import { hangingAt, nameIn, openRunGround, type RunGround, succeed } from './run-ground.ts';

let ground: RunGround;
beforeAll(async () => {
  ground = await openRunGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

const SAY: Say = { by: 'ops@host', at: 1, reason: null };

const of = (run: RunRecord, machine: string) => ({ run: run.id, machine: nameIn(run, machine) });

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
