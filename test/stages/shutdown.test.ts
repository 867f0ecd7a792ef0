import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { failed } from '../../src/domain/finding.ts';
import type { Hook, ShutdownPolicy } from '../../src/domain/wave.ts';
import { runStep } from '../../src/stages/run-step.ts';
import { createControlledSource } from '../fakes/controlled-source.ts';
import { createJob, createMachine, createRecord } from '../fakes/machine.ts';
import { createDurableState, createManualClock } from '../fakes/step-context.ts';
import { createFakeTarget } from '../fakes/target.ts';
import { createAttempt } from './attempt.ts';
import { type Fate, fateAt, Killed, mortal, mortalContext, NO_FATE, untilDone } from './killed-attempts.ts';

const job = createJob('shutdown');
const CHANGES = [
  'requestShutDown',
  'cutOff',
  'powerOn',
  'setAutostart',
  'writeNote',
] as const satisfies readonly string[];

function createWorld(policy: Partial<ShutdownPolicy> = {}, hooks: readonly Hook[] = []) {
  const machine = createMachine();
  const plain = createRecord({ machine, isControlled: true });
  const shutdown = { graceSeconds: 120, force: false, ...policy };
  const record = { ...plain, plan: { ...plain.plan, shutdown, hooks } };
  const source = createControlledSource(machine);
  const target = createFakeTarget();
  const state = createDurableState();
  const clock = createManualClock();
  const attempt = (fate: Fate = NO_FATE) => {
    const input = createAttempt({ record, job, target, state, clock });
    const control = mortal(source.control, CHANGES, fate);
    const mortalSource = new Proxy(source, {
      get: (whole, name, self) => (name === 'control' ? control : Reflect.get(whole, name, self)),
    });
    return { ...input, source: mortalSource, context: mortalContext(input.context, fate) };
  };
  const run = (fate?: Fate) => runStep(attempt(fate));
  const finish = () => untilDone(() => run(), clock.advance);
  const effects = () =>
    state.ledger
      .map(({ thing, generation, state: settled, ref }) => ({
        thing,
        generation,
        state: settled,
        before: ref?.before,
      }))
      .sort((one, other) => one.thing.localeCompare(other.thing) || one.generation - other.generation);
  return { source, target, state, clock, run, finish, effects, attempt };
}

describe('shutdown', () => {
  it('asks, gives its slot back until the source says off, and leaves what was there in the ledger', async () => {
    const { source, run, finish, clock, effects } = createWorld();
    source.guest = 'slow';
    expect(await run()).toMatchObject({ kind: 'wait', note: expect.stringContaining('guest') });
    expect(await run()).toMatchObject({ kind: 'wait', afterMs: 1_000 });
    expect(source.changes).toEqual(['autostart off', 'note', 'asked']);
    expect(source.note).toContain('run-1');
    clock.advance(20_000);
    source.endGuest();
    expect(await finish()).toEqual({ stage: 'shutdown' });
    expect(source.changes).toEqual(['autostart off', 'note', 'asked']);
    expect(effects()).toEqual([
      { thing: 'source-autostart', generation: 1, state: 'done', before: true },
      { thing: 'source-note', generation: 1, state: 'done', before: null },
      { thing: 'source-power', generation: 1, state: 'done', before: 'on' },
    ]);
    expect(await run()).toEqual({ kind: 'done', value: { stage: 'shutdown' } });
    expect(source.changes).toHaveLength(3);
  });

  it('remembers that a machine was off before, and asks nobody', async () => {
    const { source, finish, effects } = createWorld();
    source.power = 'off';
    await finish();
    expect(source.changes).toEqual(['autostart off', 'note']);
    expect(effects()).toContainEqual(
      expect.objectContaining({ thing: 'source-power', state: 'done', before: 'off' }),
    );
  });

  it('remembers that a machine ran which its own hook turned off: a rollback owes it that', async () => {
    const server = createServer((_request, response) => {
      world.source.power = 'off';
      response.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const hook = { kind: 'http', at: 'before-shutdown', method: 'POST', headers: {}, body: null } as const;
    const rest = { url: `http://127.0.0.1:${port}/`, timeoutSeconds: 5, onFailure: 'fail' } as const;
    const world = createWorld({}, [{ ...hook, ...rest }]);
    await world.finish();
    expect(world.effects()).toContainEqual(
      expect.objectContaining({ thing: 'source-power', state: 'done', before: 'on' }),
    );
    server.closeAllConnections();
    server.close();
  });

  it('asks again every 30 s, since a guest that was starting has not heard', async () => {
    const { source, run, clock } = createWorld();
    source.guest = 'deaf';
    await run();
    clock.advance(29_000);
    await run();
    expect(source.changes.filter((change) => change === 'asked')).toHaveLength(1);
    clock.advance(1_000);
    await run();
    expect(source.changes.filter((change) => change === 'asked')).toHaveLength(2);
  });

  it('fails when the grace is over, and a retry has the whole of it again', async () => {
    const { source, run, finish, clock } = createWorld({ graceSeconds: 60 });
    source.guest = 'deaf';
    await run();
    clock.advance(60_000);
    const stillOn = { code: 'source-not-off', retryable: false, message: expect.stringMatching(/60 s/) };
    await expect(run()).rejects.toMatchObject(stillOn);
    expect(source.power).toBe('on');
    expect(await run()).toMatchObject({ kind: 'wait' });
    clock.advance(59_000);
    expect(await run()).toMatchObject({ kind: 'wait', afterMs: 1_000 });
    source.endGuest();
    await finish();
  });

  it('cuts a guest off after its grace only where the wave says so', async () => {
    const { source, finish, state } = createWorld({ graceSeconds: 60, force: true });
    source.guest = 'deaf';
    await finish();
    expect(source.changes.at(-1)).toBe('cut off');
    const effect = state.ledger.find(({ thing }) => thing === 'source-power');
    expect(effect).toMatchObject({ state: 'done', ref: { how: 'cut off' } });
  });

  it('cuts nothing off once its lease is lost: by then the machine may have been taken back', async () => {
    const { source, run, clock, attempt } = createWorld({ graceSeconds: 60, force: true });
    source.guest = 'deaf';
    await run();
    clock.advance(60_000);
    const { context, ...input } = attempt();
    const ledger = { ...context.ledger, settle: () => Promise.reject(new Error('lease lost')) };
    await expect(runStep({ ...input, context: { ...context, ledger } })).rejects.toThrow('lease lost');
    expect(source.power).toBe('on');
  });

  it('waits for a source that is away without a fault of its machine, and takes up where it was', async () => {
    const { source, run, finish, clock } = createWorld({ graceSeconds: 30, force: true });
    const away = { code: 'source-unavailable', retryable: true };
    source.isAway = true;
    await expect(run()).rejects.toMatchObject(away);
    expect(source.changes).toEqual([]);
    source.isAway = false;
    source.guest = 'slow';
    await run();
    source.isAway = true;
    clock.advance(20_000);
    await expect(run()).rejects.toMatchObject(away);
    source.isAway = false;
    source.endGuest();
    await finish();
    expect(source.changes).toEqual(['autostart off', 'note', 'asked']);
  });

  it('does not cut off a guest that never heard, because its source was away when it was asked', async () => {
    const { source, run, clock, attempt } = createWorld({ graceSeconds: 30, force: true });
    source.guest = 'deaf';
    const input = attempt();
    const deaf = { ...source.control, requestShutDown: () => Promise.reject(new Error('away')) };
    const unheard = new Proxy(source, {
      get: (whole, name, self) => (name === 'control' ? deaf : Reflect.get(whole, name, self)),
    });
    await expect(runStep({ ...input, source: unheard })).rejects.toThrow('away');
    clock.advance(60_000);
    expect(await run()).toMatchObject({ kind: 'wait' });
    expect(source.changes).toEqual(['autostart off', 'note', 'asked']);
  });

  it('asks anew instead of cutting off after hours in which nobody looked, as when the machine was held', async () => {
    const { source, run, finish, clock } = createWorld({ graceSeconds: 60, force: true });
    source.guest = 'deaf';
    await run();
    clock.advance(3_600_000);
    expect(await run()).toMatchObject({ kind: 'wait' });
    expect(source.changes.slice(2)).toEqual(['asked', 'asked']);
    clock.advance(59_000);
    expect(await run()).toMatchObject({ kind: 'wait', afterMs: 1_000 });
    await finish();
    expect(source.changes.at(-1)).toBe('cut off');
  });

  it('touches nothing that could not land', async () => {
    const { source, target, run, state } = createWorld();
    source.findings = [failed('web01', 'is transient', 'Make it persistent.')];
    target.preflight = async () => [failed('subnet', 'has no free address', 'Free one.')];
    await expect(run()).rejects.toMatchObject({
      code: 'preflight-refused',
      retryable: false,
      message: expect.stringMatching(/transient.*persistent.*no free address.*landfall retry/),
    });
    expect(source.changes).toEqual([]);
    expect(state.ledger).toEqual([]);
  });

  it('waits for a target that did not answer pre-flight', async () => {
    const { target, run } = createWorld();
    target.preflight = async () => [
      { ...failed('account', 'no answer', 'Wait.'), code: 'target-unavailable' },
    ];
    await expect(run()).rejects.toMatchObject({ code: 'target-unavailable', retryable: true });
  });

  it('asks anew what a person turned on again after an earlier move, and remembers that it was on', async () => {
    const { source, state, finish, effects } = createWorld();
    source.power = 'off';
    source.isAutostarted = false;
    await finish();
    // What a discard forgets.
    state.checkpoints.clear();
    source.power = 'on';
    source.isAutostarted = true;
    await finish();
    expect(source.power).toBe('off');
    expect(effects()).toEqual([
      { thing: 'source-autostart', generation: 1, state: 'done', before: true },
      { thing: 'source-note', generation: 1, state: 'done', before: null },
      { thing: 'source-power', generation: 1, state: 'done', before: 'on' },
    ]);
  });

  it('comes to the same end wherever it is killed, and asks its guest twice at most', async () => {
    const calm = createWorld();
    await calm.finish();
    for (let point = 0; ; point += 1) {
      const { source, run, finish, effects } = createWorld();
      const fate = fateAt(point);
      await run(fate).catch((error: unknown) => expect(error).toBeInstanceOf(Killed));
      await finish();
      expect(source.changes.filter((change) => change !== 'asked')).toEqual(['autostart off', 'note']);
      expect(source.power).toBe('off');
      expect(effects()).toEqual(calm.effects());
      if (!fate.hasStruck()) {
        expect(point).toBeGreaterThan(15);
        return;
      }
    }
  });
});
