/** What happens to a run as a whole in the moments between reading and committing. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { holdRun } from '../../src/domain/advance-wave.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import { createConductor } from '../../src/queue/conductor.ts';
import type { MachineStore } from '../../src/state/machine-store.ts';
import { nameIn, openRunGround, type RunGround } from './run-ground.ts';

let ground: RunGround;
beforeAll(async () => {
  ground = await openRunGround();
});
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

const conductorWith = (nextWaiting: MachineStore['nextWaiting']) => {
  const { state, queues } = ground;
  return createConductor({ state: { ...state, machines: { ...state.machines, nextWaiting } }, queues });
};

const statusesOf = async (run: RunRecord): Promise<string[]> => {
  const events = await Array.fromAsync(ground.state.events.readAll(run.id, '0'));
  return events.flatMap((event) => (event.type === 'run' ? [event.status] : []));
};

test('a run is not partial while somebody has yet to be set free by the last two of a group, landed at once', async () => {
  const run = await ground.begin({
    machines: { a: { group: 'tier' }, b: { group: 'tier' }, web: { after: ['tier'] } },
    wave: { groups: { tier: { stopAfter: null } } },
  });
  const land = async (machine: string): Promise<void> => {
    const record: MachineRecord = { ...(await ground.record(run, machine)), status: 'landed', endedAt: 1 };
    await ground.state.machines.commit({ record, events: [], limit: 10, lease: null });
  };
  // As whoever landed them was killed, or is just about to set others free.
  await land('a');
  await land('b');
  await ground.conductor.advanceRun(run.id);
  expect((await ground.record(run, 'web')).status).toBe('moving');
  expect(await statusesOf(run)).not.toContain('partial');
});

test('a machine does not start in a run that is held since it was looked at', async () => {
  const { state } = ground;
  const conductor = conductorWith(async (id, wish) => {
    const run = await state.runs.get(id);
    const held = run && holdRun(run, { by: 'ada', at: 1, reason: null });
    if (held !== null) await state.runs.commit(held);
    return state.machines.nextWaiting(id, wish);
  });
  const run = await ground.begin({ machines: { a: {} } }, conductor);
  expect((await ground.record(run, 'a')).status).toBe('waiting');
});

test('as many machines as there are may start one after the other', async () => {
  const conductor = conductorWith(async (id, wish) => {
    return ground.state.machines.nextWaiting(id, { ...wish, count: 1 });
  });
  const machines = Object.fromEntries(Array.from({ length: 120 }, (_none, index) => [`m${index}`, {}]));
  const run = await ground.begin({ machines, limits: { machines: 200 } }, conductor);
  expect((await ground.state.machines.counts(run.id)).moving).toBe(120);
  expect((await ground.record(run, 'm119')).machine.name).toBe(nameIn(run, 'm119'));
});
