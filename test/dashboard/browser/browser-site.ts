/** A dashboard with its built page, pools whose steps do what a test says, and a real browser that looks at it. */
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Role } from '../../../src/dashboard/api/session.ts';
import { POOLS } from '../../../src/domain/job.ts';
import type { RunStep } from '../../../src/queue/attempt.ts';
import { startPool } from '../../../src/queue/pool.ts';
import { startScheduler } from '../../../src/queue/scheduler.ts';
import { type DashboardSite, openDashboardSite } from '../dashboard-site.ts';

const PAGE_FOLDER = join(import.meta.dirname, '../../../dist/page');
const CHROMIUM = '/usr/bin/chromium';
/** A busy machine paints late. */
const PATIENCE_MS = 20_000;

export type BrowserSite = AsyncDisposable & {
  site: DashboardSite;
  browser: Browser;
  /** A tab of a person of its own. What it complains of is in `complaints`: errors of scripts, and what the policy refused. */
  open(path: string, look?: Look): Promise<Tab>;
  /** Pools of all stages until disposed. */
  startPools(runStep: RunStep): Promise<AsyncDisposable>;
};

export type Look = { width?: number; height?: number; scheme?: 'light' | 'dark' };
export type Tab = AsyncDisposable & { page: Page; context: BrowserContext; complaints: string[] };

export async function openBrowserSite({
  people = {},
  environment = {},
}: {
  people?: Readonly<Record<string, Role>>;
  environment?: Readonly<Record<string, string>>;
} = {}): Promise<BrowserSite> {
  await using stack = new AsyncDisposableStack();
  const site = stack.use(await openDashboardSite({ people, environment, pageFolder: PAGE_FOLDER }));
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  stack.defer(() => browser.close());
  const owned = stack.move();
  return {
    site,
    browser,
    async open(path, { width = 1280, height = 900, scheme = 'light' } = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
      context.setDefaultTimeout(PATIENCE_MS);
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on('pageerror', ({ message }) => complaints.push(message));
      page.on('dialog', (dialog) => {
        complaints.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      page.on('console', (message) => {
        if (/content security policy/i.test(message.text())) complaints.push(message.text());
      });
      await page.goto(new URL(path, site.url).href);
      return { page, context, complaints, [Symbol.asyncDispose]: () => context.close() };
    },
    async startPools(runStep) {
      await using pools = new AsyncDisposableStack();
      const { state, queues, conductor } = site.app;
      const onError = (): void => {};
      for (const stage of POOLS)
        pools.use(await startPool({ stage, concurrency: 4, state, conductor, runStep, onError }));
      pools.use(await startScheduler({ state, queues, conductor, onError }));
      return pools.move();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
