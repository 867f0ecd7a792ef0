/** Names and texts that strangers wrote are text, and as much as there is of it; where nothing answers, the page says so. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { type BrowserSite, openBrowserSite } from './browser-site.ts';

const HOSTILE = '<img src=x onerror=alert(1)>\u202E"\'&amp;<script>alert(2)</script>';
const CONSOLE_BYTES = 10 * 1024 ** 2;

let ground: BrowserSite;
beforeAll(async () => {
  ground = await openBrowserSite();
}, 60_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await ground.site.app.state.redis.flushall();
});

async function begin(id: string, names: string[]): Promise<void> {
  const run = makeRun(id, makeWave(`wave-${id}`, names));
  const error = {
    code: 'boot-failed',
    message: `${HOSTILE} did not boot`,
    retryable: false,
    context: {},
  } as const;
  const records = makeRecords(run).map((record) => ({
    ...record,
    status: 'failed' as const,
    startedAt: 1,
    endedAt: 2,
    error,
    proof: null,
  }));
  await ground.site.app.state.runs.create(run, records);
  await ground.site.app.conductor.advanceRun(id);
}

describe('what strangers wrote', { timeout: 60_000 }, () => {
  test('is text on every page that shows it', async () => {
    await begin('evil', [HOSTILE, 'db']);
    const paths = [
      '/',
      '/runs/evil',
      `/runs/evil/machines/${encodeURIComponent(HOSTILE)}`,
      '/runs/evil/audit',
    ];
    for (const path of paths) {
      await using tab = await ground.open(path);
      const { page } = tab;
      await page.getByRole('heading').first().waitFor();
      if (path.includes('machines')) await page.getByText('onerror=alert(1)').first().waitFor();
      expect(await page.locator('img[src="x"], main script').count()).toBe(0);
      expect(tab.complaints).toEqual([]);
    }
  });

  test('stays readable where it is 10 MB of console', async () => {
    await begin('loud', ['db']);
    const line = `<b>${'x'.repeat(90)}</b>\n`;
    const text = `${line.repeat(Math.ceil(CONSOLE_BYTES / line.length))}the last line`;
    const { evidence, state } = ground.site.app;
    await evidence.put('loud/db/console.txt', text, AbortSignal.timeout(10_000));
    expect(await state.machines.get('loud', 'db')).not.toBeNull();
    await using tab = await ground.open('/runs/loud/machines/db');
    const { page } = tab;
    const region = page.getByRole('region', { name: /console/i }).first();
    await region.getByText('the last line').first().waitFor();
    // A window of it is in the page, not all of it.
    expect(await page.locator('*').count()).toBeLessThan(5_000);
    const startedAt = performance.now();
    await page.getByRole('link', { name: 'Runs' }).first().click();
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(tab.complaints).toEqual([]);
  });
});

describe('where there is nothing to show', { timeout: 60_000 }, () => {
  test('a run that does not exist is named, with a way on', async () => {
    await using tab = await ground.open('/runs/no-such-run');
    await tab.page
      .getByText(/no run no-such-run/i)
      .first()
      .waitFor();
    expect(await tab.page.getByRole('link', { name: /runs/i }).count()).toBeGreaterThan(0);
    expect(tab.complaints).toEqual([]);
  });

  test('a Redis that is away is told in words, and the page is right again by itself', async () => {
    await begin('frozen', ['db']);
    await using tab = await ground.open('/runs/frozen');
    await tab.page.getByRole('heading', { name: 'frozen' }).waitFor();
    process.kill(ground.site.redis.pid(), 'SIGSTOP');
    try {
      await tab.page.getByText(/Redis/).first().waitFor();
      await using fresh = await ground.open('/');
      await fresh.page.getByText(/Redis/).first().waitFor();
      process.kill(ground.site.redis.pid(), 'SIGCONT');
      await fresh.page.getByText('frozen').first().waitFor();
      await expect.poll(() => tab.page.getByText(/Redis/).count(), { timeout: 15_000 }).toBe(0);
    } finally {
      process.kill(ground.site.redis.pid(), 'SIGCONT');
    }
  });
});
