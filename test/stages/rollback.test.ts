import { describe, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { StepOutput } from '../../src/domain/machine-record.ts';
import type { StepOutcome } from '../../src/domain/ports.ts';
import type { Hook } from '../../src/domain/wave.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createControlledSource } from '../fakes/controlled-source.ts';
import { createJob, createMachine, createRecord } from '../fakes/machine.ts';
import { createFakeSource } from '../fakes/source.ts';
import { createDurableState, createManualClock } from '../fakes/step-context.ts';
import { createFakeTarget } from '../fakes/target.ts';
import { createAttempt } from './attempt.ts';
import { type Fate, fateAt, Killed, mortal, mortalContext, NO_FATE, untilDone } from './killed-attempts.ts';

const job = createJob('rollback');

const unavailable = () =>
  new LandfallError({ code: 'target-unavailable', message: 'the target is away', retryable: true });

/** A machine that was shut down and has landed, as far as its ledger goes. */
async function createWorld(options: { hooks?: readonly Hook[]; hasMoved?: boolean } = {}) {
  const { hooks = [], hasMoved = true } = options;
  const machine = createMachine();
  const plain = createRecord({ machine, isControlled: true });
  let record = { ...plain, plan: { ...plain.plan, hooks } };
  const source = createControlledSource(machine);
  source.note = 'a note of an earlier run';
  const removed: string[] = [];
  const held: string[] = [];
  const target = createFakeTarget();
  target.discard = async ({ thing }) => void removed.push(thing);
  const state = createDurableState();
  const clock = createManualClock();
  const attempt = (stage: 'shutdown' | 'rollback', fate: Fate) => {
    const input = createAttempt({ record, job: createJob(stage), state, clock });
    const control = mortal(source.control, ['powerOn', 'setAutostart', 'writeNote'], fate);
    return {
      ...input,
      source: new Proxy(source, {
        get: (whole, name, self) => (name === 'control' ? control : Reflect.get(whole, name, self)),
      }),
      target: mortal(target, ['discard'], fate),
      context: mortalContext(input.context, fate),
      holdOtherSteps: async () => {
        held.push('held');
        return { [Symbol.asyncDispose]: async () => void held.push('let go') };
      },
    };
  };
  const run = (fate: Fate = NO_FATE): Promise<StepOutcome<StepOutput>> => runStep(attempt('rollback', fate));
  const finish = () => untilDone(() => run(), clock.advance);
  if (hasMoved) {
    await untilDone(() => runStep(attempt('shutdown', NO_FATE)), clock.advance);
    const { ledger } = attempt('shutdown', NO_FATE).context;
    for (const thing of ['snapshot:0', 'image', 'instance']) {
      clock.advance(1);
      await ledger.settle(await ledger.intend(thing), 'done', { id: thing });
    }
  }
  source.changes = [];
  return {
    source,
    target,
    state,
    clock,
    removed,
    held,
    attempt,
    run,
    finish,
    shutDown: () => runStep(attempt('shutdown', NO_FATE)),
    beginAdmit: () => {
      const { admit } = record.steps;
      if (admit === undefined) throw new Error('no admit');
      record = { ...record, steps: { ...record.steps, admit: { ...admit, startedAt: 1 } } };
    },
    settled: () => [...new Set(state.ledger.map((entry) => entry.state))],
  };
}

describe('rollback', () => {
  it('removes the landing newest first, turns the source on again, and puts back what was there', async () => {
    const { source, removed, held, finish, settled } = await createWorld();
    expect(source.power).toBe('off');
    expect(await finish()).toEqual({ stage: 'rollback' });
    expect(removed).toEqual(['instance', 'image', 'snapshot:0']);
    expect(source.changes).toEqual(['on', 'note', 'autostart on']);
    expect(source).toMatchObject({ power: 'on', note: 'a note of an earlier run', isAutostarted: true });
    expect(settled()).toEqual(['discarded']);
    expect(held).toEqual(['held', 'let go']);
  });

  it('may be repeated: nothing happens any more', async () => {
    const { source, removed, finish } = await createWorld();
    await finish();
    source.changes = [];
    removed.length = 0;
    await finish();
    expect(source.changes).toEqual([]);
    expect(removed).toEqual([]);
  });

  it('turns nothing on once its lease is lost: by then the machine may be on its way again', async () => {
    const { source, attempt } = await createWorld();
    const { context, ...input } = attempt('rollback', NO_FATE);
    const settle: typeof context.ledger.settle = (entry, ...rest) =>
      entry.thing === 'source-power'
        ? Promise.reject(new Error('lease lost'))
        : context.ledger.settle(entry, ...rest);
    const stale = { ...context, ledger: { ...context.ledger, settle } };
    await expect(runStep({ ...input, context: stale })).rejects.toThrow('lease lost');
    expect(source.power).toBe('off');
  });

  it('leaves a source off that was off before', async () => {
    const world = await createWorld({ hasMoved: false });
    world.source.power = 'off';
    await untilDone(world.shutDown, world.clock.advance);
    world.source.changes = [];
    await world.finish();
    expect(world.source.power).toBe('off');
    expect(world.source.changes).toEqual(['note', 'autostart on']);
  });

  it('waits for a guest that was asked to end and still runs, then turns it on', async () => {
    const { source, run, shutDown, finish, clock } = await createWorld({ hasMoved: false });
    source.guest = 'slow';
    await shutDown();
    expect(await run()).toMatchObject({ kind: 'wait', note: expect.stringContaining('may yet') });
    clock.advance(10_000);
    expect(await run()).toMatchObject({ kind: 'wait' });
    source.endGuest();
    await finish();
    expect(source.changes).toEqual(['autostart off', 'note', 'asked', 'on', 'note', 'autostart on']);
  });

  it('takes a guest that does not listen for what it is: running', async () => {
    const { source, shutDown, finish } = await createWorld({ hasMoved: false });
    source.guest = 'deaf';
    await shutDown();
    await finish();
    expect(source).toMatchObject({ power: 'on', isAutostarted: true });
  });

  it('waits while something holds the disks, and says what when it does not let go', async () => {
    const { source, run, finish, clock } = await createWorld();
    source.holder = 'qemu-nbd 4711';
    expect(await run()).toMatchObject({ kind: 'wait', note: expect.stringContaining('qemu-nbd 4711') });
    clock.advance(120_000);
    await expect(run()).rejects.toMatchObject({ code: 'conflict', retryable: true });
    expect(await run()).toMatchObject({ kind: 'wait' });
    source.holder = null;
    await finish();
    expect(source.power).toBe('on');
  });

  it('waits for a source that is away, and goes on where it was', async () => {
    const { source, removed, run, finish } = await createWorld();
    source.isAway = true;
    await expect(run()).rejects.toMatchObject({ code: 'source-unavailable', retryable: true });
    expect(removed).toEqual([]);
    source.isAway = false;
    await finish();
    expect(source.power).toBe('on');
    expect(removed).toHaveLength(3);
  });

  it('turns the source on though the target is away, and removes what is there when it is back', async () => {
    const { source, target, removed, run, finish, settled } = await createWorld();
    const { discard } = target;
    target.discard = async () => Promise.reject(unavailable());
    await expect(run()).rejects.toMatchObject({ code: 'target-unavailable' });
    expect(source.power).toBe('on');
    target.discard = discard;
    await finish();
    expect(removed).toEqual(['instance', 'image', 'snapshot:0']);
    expect(settled()).toEqual(['discarded']);
  });

  it('leaves the source off while a landing that may be in service could not be removed', async () => {
    const { source, target, beginAdmit, run, finish } = await createWorld();
    const { discard } = target;
    beginAdmit();
    target.discard = async () => Promise.reject(unavailable());
    await expect(run()).rejects.toMatchObject({ code: 'target-unavailable' });
    expect(source.power).toBe('off');
    target.discard = discard;
    await finish();
    expect(source.power).toBe('on');
  });

  it('removes nothing of a machine that is gone from its source: the landing may be all that is left', async () => {
    const { source, removed, run } = await createWorld();
    const gone = new LandfallError({ code: 'source-changed', message: 'it was undefined there' });
    source.powerState = () => Promise.reject(gone);
    await expect(run()).rejects.toBe(gone);
    expect(removed).toEqual([]);
  });

  it('begins only when no other step can hold anything of the source', async () => {
    const { source, removed } = await createWorld();
    const busy = new LandfallError({ code: 'conflict', message: 'a worker is busy', retryable: true });
    const record = createRecord({ isControlled: true });
    const clock = createManualClock();
    const input = createAttempt({ record, job, source, clock });
    const blocked = () => runStep({ ...input, holdOtherSteps: () => Promise.reject(busy) });
    expect(await blocked()).toMatchObject({ kind: 'wait', note: 'a worker is busy' });
    clock.advance(120_000);
    await expect(blocked()).rejects.toBe(busy);
    expect(removed).toEqual([]);
    expect(source.changes).toEqual([]);
  });

  it('of a source that turns nothing off removes and releases', async () => {
    const machine = createMachine();
    const source = createFakeSource({ machine, images: {} });
    const target = createFakeTarget();
    const removed: string[] = [];
    target.discard = async ({ thing }) => void removed.push(thing);
    const input = createAttempt({ record: createRecord({ machine }), job, source, target });
    await input.context.ledger.intend('instance');
    expect(await runStep(input)).toMatchObject({ kind: 'done' });
    expect(removed).toEqual(['instance']);
    expect(source.released).toEqual(['web01']);
  });

  it('lets a machine be moved and rolled back again', async () => {
    const { source, finish, shutDown, clock, state } = await createWorld();
    await finish();
    source.changes = [];
    await untilDone(shutDown, clock.advance);
    expect(source).toMatchObject({ power: 'off', isAutostarted: false });
    await finish();
    expect(source).toMatchObject({ power: 'on', isAutostarted: true, note: 'a note of an earlier run' });
    expect(source.changes).toEqual(['autostart off', 'note', 'asked', 'on', 'note', 'autostart on']);
    const power = state.ledger.filter(({ thing }) => thing === 'source-power');
    expect(power.map(({ generation }) => generation)).toEqual([1, 2]);
  });

  it('comes to the same end wherever it is killed, and does nothing at the source twice', async () => {
    for (let point = 0; ; point += 1) {
      const { source, removed, run, finish, settled } = await createWorld();
      const fate = fateAt(point);
      await run(fate).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      await finish();
      expect(source.changes).toEqual(['on', 'note', 'autostart on']);
      expect(new Set(removed)).toEqual(new Set(['instance', 'image', 'snapshot:0']));
      expect(settled()).toEqual(['discarded']);
      if (!fate.hasStruck()) {
        expect(point).toBeGreaterThan(20);
        return;
      }
    }
  });
});
