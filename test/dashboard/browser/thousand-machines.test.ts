/**
 * A run of 1,000 machines stays smooth. What is measured is the computing of the page's main thread for each scroll, with the
 * updates that come meanwhile, as the browser counts it (Chrome DevTools Protocol, Performance.getMetrics by thread ticks):
 * how late frames are on a machine that runs other tests, too, says nothing of the page.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { succeed } from '../../queue/run-ground.ts';
import { type BrowserSite, openBrowserSite } from './browser-site.ts';

const MACHINES = 1_000;
const MOST_MS = 100;
const SCROLLS = 40;

let ground: BrowserSite;
beforeAll(async () => {
  ground = await openBrowserSite();
  const { state, conductor } = ground.site.app;
  const names = Array.from({ length: MACHINES }, (_, index) => `m${String(index).padStart(4, '0')}`);
  const run = makeRun('large', makeWave('wave', names, { machines: 50 }));
  await state.runs.create(run, makeRecords(run));
  await conductor.advanceRun('large');
}, 60_000);
afterAll(async () => {
  await ground?.[Symbol.asyncDispose]();
});

test('scrolling and updating 1,000 machines takes the page less than 100 ms at a time', {
  timeout: 120_000,
}, async () => {
  await using tab = await ground.open('/runs/large', { width: 1920, height: 1080 });
  const { page } = tab;
  await page.getByRole('table').getByRole('link', { name: 'm0000', exact: true }).waitFor();
  expect(await page.getByRole('table').getAttribute('aria-rowcount')).toMatch(/^100[01]$/);
  const devtools = await tab.context.newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const computedMs = async (): Promise<number> => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return 1000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN);
  };
  await using _pools = await ground.startPools(succeed);
  const steps: number[] = [];
  for (let scroll = 0; scroll < SCROLLS; scroll += 1) {
    const before = await computedMs();
    await page.mouse.wheel(0, scroll < SCROLLS / 2 ? 1_500 : -1_500);
    await page.waitForTimeout(100);
    steps.push((await computedMs()) - before);
  }
  await page
    .getByText(/[1-9]\d* landed/)
    .first()
    .waitFor();
  steps.sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)] ?? Number.NaN;
  const worst = steps.at(-1) ?? Number.NaN;
  console.log(`a scroll with its updates: ${usual.toFixed(0)} ms, the worst ${worst.toFixed(0)} ms`);
  // On a busy machine a step lasts longer, and more than one update falls into it: the worst says nothing of one.
  expect(usual).toBeLessThan(MOST_MS);
  expect(await page.locator('tbody tr').count()).toBeLessThan(200);
});
