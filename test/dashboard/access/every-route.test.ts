/** The whole dashboard, with a login: nothing of it is open by accident. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openApp } from '../../../src/app.ts';
import { readConfig } from '../../../src/config.ts';
import { openAccess } from '../../../src/dashboard/access/access.ts';
import { addToken } from '../../../src/dashboard/access/token-file.ts';
import { startDashboard } from '../../../src/dashboard/server.ts';
import { startTestRedis } from '../../fakes/redis.ts';
import { askHttp } from './ground.ts';

/** What whoever comes may ask: the way in, and whether it lives. */
const OPEN = [
  'GET /api/session',
  'POST /api/login',
  'POST /api/logout',
  'GET /healthz',
  'GET /readyz',
  'GET /login',
  'GET /icon.svg',
  'GET /assets/*',
];
const CLOSED = [401, 303];

const stack = new AsyncDisposableStack();
const routes = new Set<string>();
let port = 0;
let viewer = '';

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-test-routes-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = stack.use(await startTestRedis());
  const config = readConfig({ LANDFALL_HOME: folder, REDIS_URL: redis.url, HOME: folder }, folder);
  const { tokensFile } = config.access;
  viewer = await addToken(tokensFile, {
    name: 'ann',
    role: 'viewer',
    expires: null,
    replaces: false,
    now: new Date(),
  });
  const app = stack.use(await openApp(config));
  const access = await openAccess({
    settings: config.access,
    state: app.state,
    log: () => {},
    listenHost: '127.0.0.1',
    localName: 'me',
    version: '1',
  });
  const register = async (server: FastifyInstance): Promise<void> => {
    server.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) if (each !== 'HEAD') routes.add(`${each} ${url}`);
    });
    await access.register(server);
  };
  const at = { app, log: () => {}, version: '1', listen: { host: '127.0.0.1', port: 0 }, pageFolder: folder };
  const dashboard = stack.use(await startDashboard({ ...at, access: { ...access, register } }));
  port = Number(new URL(dashboard.url).port);
});
afterAll(() => stack.disposeAsync());

test('strangers reach the way in and nothing else', async () => {
  expect(routes.size).toBeGreaterThan(30);
  const open: string[] = [];
  for (const route of routes) {
    const [method = '', pattern = ''] = route.split(' ');
    const path = pattern.replace(/:\w+/g, 'x').replace('*', 'x');
    const body = method === 'GET' ? undefined : {};
    const { status } = await askHttp(port, path, { method, body });
    if (!CLOSED.includes(status)) open.push(route);
  }
  expect(open.sort()).toEqual([...OPEN].sort());
});

test('viewers change nothing', async () => {
  const changing = [...routes].filter((route) => !route.startsWith('GET ') && !OPEN.includes(route));
  const allowed: string[] = [];
  for (const route of changing) {
    const [method = '', pattern = ''] = route.split(' ');
    const path = pattern.replace(/:\w+/g, 'x');
    const headers = { authorization: `Bearer ${viewer}` };
    if ((await askHttp(port, path, { method, headers, body: {} })).status !== 403) allowed.push(route);
  }
  // What an action would do changes nothing.
  expect(allowed).toEqual(['POST /api/runs/:run/preview']);
  expect(changing.length).toBeGreaterThan(2);
});
