/** What open pages are told, over real HTTP and a real Redis that comes and goes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { liveSchemas } from '../../src/dashboard/api/live.ts';
import { findRun } from '../../src/operations/find-run.ts';
import { cancelMachines } from '../../src/operations/steer.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';
import { type LivePage, openLivePage, type Told } from './live-page.ts';

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
});
afterAll(async () => {
  expect(site.faults).toEqual([]);
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await site.app.state.redis.flushall();
});

async function begin(id: string, machines: string[], atOnce = 10): Promise<void> {
  const run = makeRun(id, makeWave(`wave-${id}`, machines, { machines: atOnce }));
  await site.app.state.runs.create(run, makeRecords(run));
  await site.app.conductor.advanceRun(id);
}

async function cancel(id: string, names: string[]): Promise<void> {
  const { state, conductor } = site.app;
  const run = await findRun(state, id);
  const machines = await state.machines.all(id, names);
  await cancelMachines({ run, machines, reason: null }, { state, conductor, by: 'ada' });
}

const remark = (run: string, message: string): Promise<void> =>
  site.app.state.events.append({ type: 'remark', run, machine: null, level: 'info', message });

const remarks = (page: LivePage): unknown[] =>
  page.told.flatMap(({ name, data }) => (name === 'event' && data.type === 'remark' ? [data.message] : []));

const shows =
  (machine: string, status: string) =>
  ({ name, data }: Told): boolean =>
    name === 'machines' &&
    (data.machines as { name: string; status: string }[]).some(
      (line) => line.name === machine && line.status === status,
    );

describe('a page that listens to a run', () => {
  it('is told all of it first, and then what changes, as the schemas say', async () => {
    await begin('r1', ['web01', 'web02']);
    await using page = await openLivePage(site.url, { run: 'r1' });
    const first = await page.until(({ name }) => name === 'machines');
    expect(first.data.machines).toHaveLength(2);
    await cancel('r1', ['web02']);
    const news = await page.until(shows('web02', 'cancelled'));
    expect(news.data.machines).toHaveLength(1);
    await page.until(({ name, data }) => name === 'event' && data.type === 'operator');
    for (const { name, data } of page.told) liveSchemas[name as keyof typeof liveSchemas].parse(data);
  });

  it('comes back to the events that it missed, each once and in order', async () => {
    await begin('r2', ['web01']);
    await using before = await openLivePage(site.url, { run: 'r2' });
    await before.until(({ name }) => name === 'run');
    await remark('r2', 'one');
    const seen = await before.until(({ data }) => data.message === 'one');
    await before[Symbol.asyncDispose]();
    for (const message of ['two', 'three', 'four']) await remark('r2', message);
    await using after = await openLivePage(site.url, { run: 'r2', lastEventId: seen.id ?? '' });
    await after.until(({ data }) => data.message === 'four');
    await remark('r2', 'five');
    await after.until(({ data }) => data.message === 'five');
    expect(remarks(after)).toEqual(['two', 'three', 'four', 'five']);
  });

  it('is told from another server what it missed there, also when that one has kept nothing', async () => {
    await begin('r3', ['web01']);
    const eventId = await site.app.state.events.newestId('r3');
    const messages = Array.from({ length: 700 }, (_none, index) => `line ${index}`);
    for (const message of messages) await remark('r3', message);
    await using another = await site.startAnother();
    await using page = await openLivePage(another.url, { run: 'r3', lastEventId: eventId });
    await page.until(({ data }) => data.message === 'line 699');
    expect(remarks(page)).toEqual(messages);
  });

  it('without news is told from which event on it will hear', async () => {
    await begin('r4', ['web01']);
    await using page = await openLivePage(site.url, { run: 'r4' });
    const { id } = await page.until(({ name }) => name === 'run');
    expect(id).toBe(await site.app.state.events.newestId('r4'));
  });

  it('shares one reading with all others', async () => {
    await begin('r5', ['web01', 'web02']);
    await using one = await openLivePage(site.url, { run: 'r5' });
    await one.until(({ name }) => name === 'machines');
    await using two = await openLivePage(site.url, { run: 'r5' });
    await using three = await openLivePage(site.url, { run: 'r5' });
    for (const page of [two, three]) await page.until(({ name }) => name === 'machines');
    const reads = vi.spyOn(site.app.state.events, 'readAll');
    const records = vi.spyOn(site.app.state.machines, 'all');
    try {
      await cancel('r5', ['web01']);
      const afterDeed = records.mock.calls.length;
      for (const page of [one, two, three]) await page.until(shows('web01', 'cancelled'));
      const ofRounds = records.mock.calls.slice(afterDeed).map(([, names]) => names);
      expect(ofRounds.length).toBeLessThanOrEqual(reads.mock.calls.length);
      expect(reads.mock.calls.length).toBeLessThanOrEqual(4);
      expect(ofRounds.flat()).not.toContain('web02');
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('is refused for a run that there is not', async () => {
    await using page = await openLivePage(site.url, { run: 'nope' });
    expect(page.status).toBe(404);
  });

  it('is let go when the server ends', async () => {
    await begin('r6', ['web01']);
    const another = await site.startAnother();
    await using page = await openLivePage(another.url, { run: 'r6' });
    await page.until(({ name }) => name === 'run');
    await another[Symbol.asyncDispose]();
    await page.ended;
  });
});

describe('a page that listens to all runs', () => {
  it('is told of a run that is new, and of one that changes', async () => {
    await using page = await openLivePage(site.url);
    await page.until(({ name, data }) => name === 'runs' && (data.runs as unknown[]).length === 0);
    await begin('r7', ['web01']);
    await page.until(({ name, data }) => name === 'runs' && (data.runs as unknown[]).length === 1);
    await cancel('r7', ['web01']);
    await page.until(
      ({ name, data }) =>
        name === 'runs' && (data.runs as { status: string }[]).some(({ status }) => status === 'cancelled'),
    );
  });
});
