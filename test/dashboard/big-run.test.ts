/** A run of a thousand machines: what it costs to look at it. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runDetailSchema } from '../../src/dashboard/api/run.ts';
import { holdMachines } from '../../src/operations/steer.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';
import { type LivePage, openLivePage } from './live-page.ts';

const names = Array.from({ length: 1_000 }, (_none, index) => `m${String(index).padStart(4, '0')}`);
const MOVING = 50;
const UNTIL = { timeout: 15_000, interval: 50 };

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
  const run = makeRun('big', makeWave('w', names, { machines: MOVING }));
  await site.app.state.runs.create(run, makeRecords(run));
  await site.app.conductor.advanceRun('big');
}, 60_000);
afterAll(async () => {
  expect(site.faults).toEqual([]);
  await site[Symbol.asyncDispose]();
});

describe('a run of 1,000 machines', () => {
  it('is told whole, in the order of the wave', async () => {
    const { machines } = runDetailSchema.parse((await site.get('/api/runs/big')).body);
    expect(machines.map(({ name }) => name)).toEqual(names);
  });

  it('is read once for all pages, and then only what changed', async () => {
    const { state, conductor } = site.app;
    await using one = await openLivePage(site.url, { run: 'big' });
    await using two = await openLivePage(site.url, { run: 'big' });
    for (const page of [one, two]) {
      await page.until(({ name }) => name === 'machines');
      await vi.waitFor(() => expect(linesOf(page)).toHaveLength(names.length), UNTIL);
    }
    const rounds = vi.spyOn(state.machines, 'counts');
    const readings = vi.spyOn(state.machines, 'all');
    try {
      // Rounds in which nothing happens read no machine.
      await vi.waitFor(() => expect(rounds.mock.calls.length).toBeGreaterThanOrEqual(3), UNTIL);
      expect(readings.mock.calls.flatMap(([, read]) => read)).toEqual([]);
      const run = await state.runs.get('big');
      const machines = await state.machines.all('big', ['m0900']);
      readings.mockClear();
      if (run === null) throw new Error('no run');
      await holdMachines({ run, machines, reason: null }, { state, conductor, by: 'ada' });
      for (const page of [one, two])
        await vi.waitFor(() => expect(linesOf(page)).toHaveLength(names.length + 1), UNTIL);
      expect(linesOf(two).at(-1)).toMatchObject({ name: 'm0900', status: 'held' });
      expect(new Set(readings.mock.calls.flatMap(([, read]) => read))).toEqual(new Set(['m0900']));
    } finally {
      vi.restoreAllMocks();
    }
  }, 60_000);

  it('is held by name, hundreds at once', async () => {
    const some = names.slice(100, 300);
    const { status, body } = await site.post('/api/runs/big/actions', {
      action: 'hold',
      on: { kind: 'machines', names: some },
      reason: 'change 4711',
    });
    expect([status, body]).toEqual([200, { message: '200 machines are held.', changed: some }]);
  }, 60_000);
});

function linesOf({ told }: LivePage): { name: string; status: string }[] {
  return told.flatMap(({ name, data }) =>
    name === 'machines' ? (data.machines as { name: string; status: string }[]) : [],
  );
}
