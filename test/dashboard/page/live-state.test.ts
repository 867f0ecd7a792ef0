import { describe, expect, test } from 'vitest';
import type { ShownEvent } from '../../../src/dashboard/api/machine.ts';
import {
  applyMessages,
  EVENTS_KEPT,
  type LiveMessage,
  NOTHING_LIVE,
} from '../../../src/dashboard/page/data/live-state.ts';
import { makeMachines, makeRun, NOW } from './fixture-run.ts';

const event = (id: number): ShownEvent => ({
  id: `${id}-0`,
  at: NOW,
  type: 'log',
  run: 'weekend-1',
  text: 'x',
});
const machines = makeMachines(1000);
const full = applyMessages(NOTHING_LIVE, [{ name: 'machines', data: { now: NOW, machines } }]);

describe('a batch of messages', () => {
  test('changes the machines that it names and leaves the others the same objects', () => {
    const [first] = machines;
    if (first === undefined) throw new Error('a machine');
    const changed = { ...first, doneBytes: 7 };
    const next = applyMessages(full, [{ name: 'machines', data: { now: NOW, machines: [changed] } }]);
    expect(next.machines?.[0]).toBe(changed);
    expect(next.machines?.slice(1).every((line, index) => line === machines[index + 1])).toBe(true);
  });

  test('takes the last word where a machine is told of twice', () => {
    const [first] = machines;
    if (first === undefined) throw new Error('a machine');
    const tell = (doneBytes: number): LiveMessage => ({
      name: 'machines',
      data: { now: NOW, machines: [{ ...first, doneBytes }] },
    });
    expect(applyMessages(full, [tell(1), tell(2)]).machines?.[0]?.doneBytes).toBe(2);
  });

  test('without machines leaves the list as it is: nothing is drawn again', () => {
    const next = applyMessages(full, [{ name: 'run', data: { now: NOW, run: makeRun() } }]);
    expect(next.machines).toBe(full.machines);
    expect(next.run?.id).toBe('weekend-1');
  });

  test('puts a machine that was not known in its place', () => {
    const some = applyMessages(NOTHING_LIVE, [
      { name: 'machines', data: { now: NOW, machines: machines.slice(1, 3) } },
    ]);
    const next = applyMessages(some, [
      { name: 'machines', data: { now: NOW, machines: machines.slice(0, 1) } },
    ]);
    expect(next.machines?.map(({ position }) => position)).toEqual([0, 1, 2]);
  });

  test('of a thousand machines is applied within a few milliseconds', () => {
    const changed = machines.map((line) => ({ ...line, doneBytes: line.doneBytes + 1 }));
    const startedAt = performance.now();
    for (let round = 0; round < 10; round += 1) {
      applyMessages(full, [{ name: 'machines', data: { now: NOW, machines: changed } }]);
    }
    expect((performance.now() - startedAt) / 10).toBeLessThan(30);
  });
});

describe('events', () => {
  test('that come again after a reconnect are shown once', () => {
    const once = applyMessages(NOTHING_LIVE, [{ name: 'event', data: event(1) }]);
    const again = applyMessages(once, [
      { name: 'event', data: event(1) },
      { name: 'event', data: event(2) },
      { name: 'event', data: event(2) },
    ]);
    expect(again.events.map(({ id }) => id)).toEqual(['1-0', '2-0']);
  });

  test('are kept up to a limit, the latest', () => {
    const many = Array.from(
      { length: EVENTS_KEPT + 5 },
      (_, id) => ({ name: 'event', data: event(id) }) as const,
    );
    const { events } = applyMessages(NOTHING_LIVE, many);
    expect(events).toHaveLength(EVENTS_KEPT);
    expect(events[0]?.id).toBe('5-0');
  });
});
