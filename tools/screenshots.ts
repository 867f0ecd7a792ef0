/**
 * `npm run screenshots`: the pictures of docs/images. Runs the weekend demo, and looks at its dashboard with a real browser:
 * in the middle of the wave, and when it is over, in light and dark.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Browser, chromium } from 'playwright-core';
import type { RunList } from '../src/dashboard/api/run.ts';
import { pickEnvironment, runTool, startTool } from '../src/processes/child.ts';

const root = join(import.meta.dirname, '..');
const FOLDER = join(root, 'docs/images');
const HOME = join(root, '.landfall/demo');
const CHROMIUM = '/usr/bin/chromium';
/** All of it takes two minutes on two cores. */
const TIMEOUT_MS = 600_000;
const SIZES = { desk: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } } as const;
const SETTLE_MS = 1_500;

/** `press`: the buttons to it, one after the other. `tick`: then the one box that is there. */
type Shot = {
  name: string;
  path: string;
  press?: readonly string[];
  tick?: boolean;
  size?: keyof typeof SIZES;
};

const signal = AbortSignal.timeout(TIMEOUT_MS);
const url = Promise.withResolvers<string>();
const over = Promise.withResolvers<void>();
await using demo = await startTool({
  command: process.execPath,
  args: [join(root, 'tools/demo.ts'), '--dashboard'],
  environment: pickEnvironment(['HOME', 'PATH']),
  cwd: root,
  signal,
  onLine: (line) => {
    console.log(line);
    const [, found] = /The dashboard: (http:\S+)/.exec(line) ?? [];
    if (found !== undefined) url.resolve(found);
    if (line.includes('The dashboard stays at')) over.resolve();
  },
});
void demo.exited.then(({ exitCode, stderr }) => {
  const ended = new Error(`The demo ended (status ${exitCode}): ${stderr}`);
  url.reject(ended);
  over.reject(ended);
});

await mkdir(FOLDER, { recursive: true });
const base = await url.promise;
await using browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
const run = await untilMachinesLanded(base);
await take(browser, base, [
  { name: 'runs', path: '/' },
  { name: 'wave', path: `/runs/${run}` },
  { name: 'workers', path: '/workers' },
  { name: 'phone', path: '/', size: 'phone' },
]);
await over.promise;
await take(browser, base, [
  { name: 'machine', path: `/runs/${run}/machines/crm-db` },
  { name: 'trouble', path: `/runs/${run}/machines/old-batch` },
  { name: 'audit', path: `/runs/${run}/audit` },
  { name: 'queues', path: '/queues' },
  {
    name: 'dialog',
    path: `/runs/${run}/machines/crm-db`,
    press: ['More actions …', 'Roll back'],
    tick: true,
  },
]);
await takeLogin(browser);

/** Gives the run in whose middle we are: some have landed, and some have not. */
async function untilMachinesLanded(at: string): Promise<string> {
  for (;;) {
    signal.throwIfAborted();
    const { runs } = (await (await fetch(`${at}/api/runs`, { signal })).json()) as RunList;
    const [first] = runs;
    if (first !== undefined && first.counts.landed > 0) return first.id;
    await sleep(250, undefined, { signal });
  }
}

/** Of a second dashboard, which has tokens and so wants a login. */
async function takeLogin(of: Browser): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-screenshots-'));
  try {
    const landfall = {
      command: process.execPath,
      environment: {
        ...pickEnvironment(['HOME', 'PATH']),
        LANDFALL_HOME: HOME,
        LANDFALL_DASHBOARD_TOKENS: join(folder, 'tokens.yaml'),
      },
      signal,
    };
    const entry = join(root, 'bin/landfall.mjs');
    await runTool({ ...landfall, args: [entry, 'token', 'wall', '--role', 'viewer'] });
    const there = Promise.withResolvers<string>();
    await using dashboard = await startTool({
      ...landfall,
      args: [entry, 'dashboard', '--listen', '127.0.0.1:0'],
      onLine: (line) => {
        const [, found] = /The dashboard is at (http:[^\s"]+)/.exec(line) ?? [];
        if (found !== undefined) there.resolve(found);
      },
    });
    void dashboard.exited.then(({ stderr }) => there.reject(new Error(`The dashboard ended: ${stderr}`)));
    await take(of, await there.promise, [{ name: 'login', path: '/' }]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function take(of: Browser, base: string, shots: readonly Shot[]): Promise<void> {
  for (const { name, path, press = [], tick = false, size = 'desk' } of shots) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await of.newPage({ viewport: SIZES[size], colorScheme });
      await page.goto(base + path);
      await page.locator('h1, header, #root').first().waitFor();
      for (const button of press) await page.getByRole('button', { name: button, exact: true }).click();
      if (tick) await page.getByRole('dialog').getByRole('checkbox').check();
      await sleep(SETTLE_MS);
      await page.screenshot({ path: join(FOLDER, `${name}-${colorScheme}.png`) });
      await page.close();
    }
  }
}
