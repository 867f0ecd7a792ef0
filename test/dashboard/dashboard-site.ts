/** A dashboard over a real Redis and on a real port, for one test file. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, openApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { openAccess } from '../../src/dashboard/access/access.ts';
import { addToken } from '../../src/dashboard/access/token-file.ts';
import type { Role } from '../../src/dashboard/api/session.ts';
import { type Dashboard, startDashboard } from '../../src/dashboard/server.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { startTestRedis } from '../fakes/redis.ts';

export type DashboardSite = AsyncDisposable & {
  app: App;
  redis: RedisServer;
  url: string;
  folder: string;
  /** What it logged of its own faults. */
  faults: string[];
  get(path: string, init?: RequestInit): Promise<{ status: number; body: unknown; headers: Headers }>;
  /** `as`: one of those who log in. */
  post(path: string, body: unknown, as?: string): Promise<{ status: number; body: unknown }>;
  /** A second server over the same Redis. */
  startAnother(): Promise<Dashboard>;
  /** Ends the server, and starts it again where it was. */
  stop(): Promise<void>;
  startAgain(): Promise<void>;
  /** With which somebody logs in. */
  tokenOf(name: string): string;
};

/** `people`: who logs in, by name; without them, whoever is on this machine may do everything. */
export async function openDashboardSite({
  people = {},
  environment = {},
  pageFolder,
}: {
  people?: Readonly<Record<string, Role>>;
  /** Settings beside those of the home and of Redis. */
  environment?: Readonly<Record<string, string>>;
  /** Left out: one with nothing in it. */
  pageFolder?: string;
} = {}): Promise<DashboardSite> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'landfall-dashboard-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = stack.use(await startTestRedis());
  const config = readConfig(
    { ...environment, LANDFALL_HOME: folder, REDIS_URL: redis.url, HOME: folder },
    folder,
  );
  const tokens = new Map<string, string>();
  for (const [name, role] of Object.entries(people)) {
    const entry = { name, role, expires: null, replaces: false, now: new Date() };
    tokens.set(name, await addToken(config.access.tokensFile, entry));
  }
  const app = stack.use(await openApp(config));
  const faults: string[] = [];
  const start = async (port = 0): Promise<Dashboard> =>
    startDashboard({
      app,
      access: await openAccess({
        settings: config.access,
        state: app.state,
        log: () => {},
        listenHost: '127.0.0.1',
        localName: 'ada@ops',
        version: '0.0.0',
      }),
      listen: { host: '127.0.0.1', port },
      log: (level, message) => void (level === 'error' && faults.push(message)),
      version: '0.0.0',
      pageFolder: pageFolder ?? join(folder, 'page'),
    });
  let dashboard: Dashboard = await start();
  stack.defer(() => dashboard[Symbol.asyncDispose]());
  const { url } = dashboard;
  const ask: DashboardSite['get'] = async (path, init) => {
    const response = await fetch(new URL(path, url), init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };
  const owned = stack.move();
  return {
    app,
    redis,
    url,
    folder,
    faults,
    get: ask,
    post: (path, body, as) =>
      ask(path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: {
          'content-type': 'application/json',
          ...(as === undefined ? {} : { authorization: `Bearer ${tokens.get(as)}` }),
        },
      }),
    startAnother: () => start(),
    stop: async () => await dashboard[Symbol.asyncDispose](),
    async startAgain() {
      dashboard = await start(Number(new URL(url).port));
    },
    tokenOf: (name) => tokens.get(name) ?? '',
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
