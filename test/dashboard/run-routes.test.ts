/** What is told of runs, by real HTTP over a real Redis. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventListSchema } from '../../src/dashboard/api/machine.ts';
import { runDetailSchema, runListSchema } from '../../src/dashboard/api/run.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await site.app.state.redis.flushall();
});

async function begin(id: string, machines: string[]): Promise<void> {
  const run = makeRun(id, makeWave(`wave-${id}`, machines));
  await site.app.state.runs.create(run, makeRecords(run));
  await site.app.conductor.advanceRun(id);
}

describe('GET /api/runs', () => {
  it('lists the runs with what they come to', async () => {
    await begin('r1', ['web01', 'web02']);
    const { status, body } = await site.get('/api/runs');
    expect(status).toBe(200);
    const { runs } = runListSchema.parse(body);
    expect(runs).toMatchObject([
      { id: 'r1', wave: 'wave-r1', status: 'running', counts: { moving: 2 }, troubled: 0 },
    ]);
  });
});

describe('GET /api/runs/RUN', () => {
  it('tells each machine, in the order of the wave', async () => {
    await begin('r2', ['web02', 'web01']);
    const { body } = await site.get('/api/runs/r2');
    const detail = runDetailSchema.parse(body);
    expect(detail.machines.map(({ name, status }) => [name, status])).toEqual([
      ['web02', 'moving'],
      ['web01', 'moving'],
    ]);
    expect(detail.machines[0]?.stages.map(({ stage }) => stage)).toContain('upload');
    expect(detail.eventId).toMatch(/^\d+-\d+$/);
  });

  it('takes the name of a wave for its run', async () => {
    await begin('r3', ['web01']);
    expect((await site.get('/api/runs/wave-r3')).body).toMatchObject({ run: { id: 'r3' } });
  });

  it('refuses a run that there is not, and says which there are', async () => {
    await begin('r4', ['web01']);
    const { status, body } = await site.get('/api/runs/nope');
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'not-found', message: expect.stringContaining('r4') } });
  });
});

describe('GET /api/runs/RUN/events', () => {
  it('tells the newest, oldest first, and goes back from an id', async () => {
    await begin('r5', ['web01', 'web02']);
    const all = eventListSchema.parse((await site.get('/api/runs/r5/events')).body);
    expect(all.hasMore).toBe(false);
    expect(all.events.length).toBeGreaterThan(2);
    const last = all.events.at(-1);
    const [before] = eventListSchema.parse(
      (await site.get(`/api/runs/r5/events?limit=1&before=${last?.id}`)).body,
    ).events;
    expect(before).toEqual(all.events.at(-2));
  });

  it('tells of one machine only', async () => {
    await begin('r6', ['web01', 'web02']);
    const { events } = eventListSchema.parse((await site.get('/api/runs/r6/events?machine=web02')).body);
    expect(new Set(events.map(({ machine }) => machine))).toEqual(new Set(['web02']));
  });
});
