/** Redis goes away and comes back under a dashboard with open pages. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { type DashboardSite, openDashboardSite } from './dashboard-site.ts';
import { openLivePage } from './live-page.ts';

const UNTIL = { timeout: 15_000, interval: 50 };

let site: DashboardSite;

beforeAll(async () => {
  site = await openDashboardSite();
  const run = makeRun('r1', makeWave('w', ['web01']));
  await site.app.state.runs.create(run, makeRecords(run));
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const isHealth =
  (redis: string, after = 0) =>
  ({ name, data }: { name: string; data: Record<string, unknown> }, index = after): boolean =>
    index >= after && name === 'health' && data.redis === redis;

describe('a Redis that is killed', () => {
  it('is told to open pages, which go on without a gap once it is back', async () => {
    await using page = await openLivePage(site.url, { run: 'r1' });
    const { id } = await page.until(({ name }) => name === 'run');
    // Stopped first: its keeper would bring it back before anybody saw that it was away.
    process.kill(site.redis.pid(), 'SIGSTOP');
    await page.until(isHealth('away'));
    expect((await site.get('/readyz')).status).toBe(503);
    expect((await site.get('/healthz')).status).toBe(200);
    const { status, body, headers } = await site.get('/api/runs/r1');
    expect(status).toBe(503);
    expect(headers.get('retry-after')).not.toBeNull();
    expect(body).toMatchObject({
      error: { code: 'redis-away', message: expect.stringContaining('does not answer') },
    });
    const deed = await site.post('/api/runs/r1/actions', {
      action: 'hold',
      on: { kind: 'run' },
      reason: 'x',
    });
    expect(deed.status).toBe(503);
    await using late = await openLivePage(site.url, { run: 'r1', lastEventId: id ?? '' });
    await late.until(isHealth('away'));
    process.kill(site.redis.pid(), 'SIGKILL');
    await vi.waitFor(async () => expect((await site.get('/readyz')).status).toBe(200), UNTIL);
    await late.until(isHealth('ok'));
    await site.app.state.events.append({
      type: 'remark',
      run: 'r1',
      machine: null,
      level: 'info',
      message: 'back',
    });
    for (const each of [page, late]) await each.until(({ data }) => data.message === 'back');
    expect(page.told.filter(({ data }) => data.message === 'back')).toHaveLength(1);
    expect((await site.app.state.runs.get('r1'))?.hold).toBeNull();
  }, 40_000);
});
