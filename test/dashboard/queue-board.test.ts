import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { openAccess } from '../../src/dashboard/access/access.ts';
import { registerQueueBoard } from '../../src/dashboard/queue-board.ts';
import { openBoardQueues } from '../../src/queue/board-queues.ts';
import { openQueues } from '../../src/queue/queues.ts';
import { PREFIX } from '../../src/state/keys.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const stack = new AsyncDisposableStack();
let state: State;
let url: string;
const routes: { method: string; url: string }[] = [];

beforeAll(async () => {
  const redis = stack.use(await startTestRedis());
  state = stack.use(openState(redis.url));
  const wave = makeWave('w', ['a']);
  const run = makeRun('r1', { ...wave, source: { ...wave.source, site: 'berlin' } });
  await state.runs.create(run, makeRecords(run));
  const queues = stack.use(openQueues(redis.url));
  const job = {
    run: 'r1',
    machine: '<script>x</script>',
    stage: 'upload',
    disk: '0',
    pass: 0,
    try: 1,
  } as const;
  await queues.add([job]);
  await queues.add([job], 'berlin');
  const access = await openAccess({
    settings: readConfig({}, '/nowhere').access,
    state,
    log: () => {},
    listenHost: '127.0.0.1',
    localName: 'me',
    version: '1',
  });
  const boardQueues = stack.use(openBoardQueues(redis.url));
  const server = Fastify();
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  await access.register(server);
  server.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) routes.push({ method: each, url });
  });
  await registerQueueBoard(server, { state, queues, boardQueues });
  await server.listen({ host: '127.0.0.1', port: 0 });
  stack.defer(() => server.close());
  url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
});
afterAll(() => stack.disposeAsync());

describe('the board', () => {
  test('shows the queues of all pools and of the sites of waves, and their jobs', async () => {
    const response = await fetch(`${url}/queues/api/queues?activeQueue=upload.berlin&status=waiting`);
    const { queues } = (await response.json()) as {
      queues: { name: string; readOnlyMode: boolean; counts: { waiting: number }; jobs: { id: string }[] }[];
    };
    expect(queues.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'export.berlin',
        'upload.berlin',
        'import',
        'validate',
        'power.berlin',
        'wake',
      ]),
    );
    expect(queues.every(({ readOnlyMode }) => readOnlyMode)).toBe(true);
    const berlin = queues.find(({ name }) => name === 'upload.berlin');
    expect([berlin?.counts.waiting, berlin?.jobs.length]).toEqual([1, 1]);
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('has no route that changes anything', async () => {
    expect(routes.length).toBeGreaterThan(10);
    expect(routes.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual([]);
  });

  test.each([
    ['PUT', '/api/queues/pause'],
    ['PUT', '/api/queues/upload/pause'],
    ['PUT', '/api/queues/upload/empty'],
    ['PUT', '/api/queues/upload/obliterate'],
    ['PUT', '/api/queues/upload/clean/waiting'],
    ['PUT', '/api/queues/upload/promote'],
    ['PUT', '/api/queues/upload/concurrency'],
    ['POST', '/api/queues/upload/add'],
    ['PUT', `/api/queues/upload/${encodeURIComponent('r1.%3Cscript%3Ex%3C%2Fscript%3E.upload.0.0.1')}/clean`],
    [
      'PATCH',
      `/api/queues/upload/${encodeURIComponent('r1.%3Cscript%3Ex%3C%2Fscript%3E.upload.0.0.1')}/update-data`,
    ],
  ])('refuses %s %s, and the job stays', async (method, path) => {
    const body = JSON.stringify({ force: true, concurrency: 1, name: 'x', data: {} });
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${url}/queues${path}`, { method, headers, body })).status).toBe(404);
    expect(await state.redis.llen(`${PREFIX}:upload:wait`)).toBe(1);
    expect(await state.redis.hget(`${PREFIX}:upload:meta`, 'paused')).toBeNull();
  });

  test('writes nothing to queues that nobody has used', async () => {
    await using own = openBoardQueues(state.url);
    for (const queue of own.list([{ pool: 'upload', site: 'untouched' }])) await queue.getJobCounts();
    expect(await state.redis.keys(`${PREFIX}:*untouched*`)).toEqual([]);
  });

  test.each(['/queues', '/queues/', '/queues/queue/upload'])(
    'has a page at %s that loads nothing from elsewhere and runs nothing inline',
    async (path) => {
      const response = await fetch(`${url}${path}`, { headers: { accept: 'text/html' } });
      const page = await response.text();
      expect(response.headers.get('content-security-policy')).toMatch(/script-src 'self'(;|$)/);
      expect(page).toContain('<base href="/queues/" />');
      expect(page).not.toContain('https://');
      expect(page).not.toMatch(/<style|style="/);
      const inline = [...page.matchAll(/<script(?![^>]*\bsrc=)([^>]*)>/g)].map(
        ([, attributes]) => attributes,
      );
      expect(inline.every((attributes) => attributes?.includes('type="application/json"'))).toBe(true);
      for (const [, file] of page.matchAll(/(?:src|href)="(static\/[^"]+)"/g))
        expect((await fetch(`${url}/queues/${file}`)).status, file).toBe(200);
    },
  );
});
