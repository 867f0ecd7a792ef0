/** Pages that leave while the server still looks up what they asked for. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Access } from '../../src/dashboard/access/access.ts';
import type { Desk } from '../../src/dashboard/desk.ts';
import { liveRoutes } from '../../src/dashboard/routes/live-routes.ts';

let server: ReturnType<typeof Fastify>;
let joined: number;
let found: PromiseWithResolvers<{ id: string }>;
let asked: PromiseWithResolvers<void>;

beforeEach(async () => {
  joined = 0;
  found = Promise.withResolvers();
  asked = Promise.withResolvers();
  const desk = {
    hub: {
      pages: () => joined,
      join() {
        joined += 1;
      },
    },
    redis: { health: () => ({ redis: 'ok', message: null }), whileThere: (work: () => unknown) => work() },
    findRun: () => {
      asked.resolve();
      return found.promise;
    },
  } as unknown as Desk;
  server = Fastify({ forceCloseConnections: true });
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  await server.register(liveRoutes, { desk, access: { isStillIn: async () => true } as unknown as Access });
  await server.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(() => server.close());

async function open() {
  const page = connect((server.server.address() as AddressInfo).port, '127.0.0.1');
  page.on('error', () => {});
  page.write('GET /api/live?run=night HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await asked.promise;
  return page;
}

test('one that stays is told what changes', async () => {
  const page = await open();
  found.resolve({ id: 'night-1' });
  await once(page, 'data');
  expect(joined).toBe(1);
  page.destroy();
});

test('one that has left is not kept', async () => {
  const connected = once(server.server, 'connection');
  const page = await open();
  const [connection] = (await connected) as [Socket];
  const closed = once(connection, 'close');
  page.destroy();
  await closed;
  found.resolve({ id: 'night-1' });
  await nextTurn();
  expect(joined).toBe(0);
});

test('is not asked for by a HEAD', async () => {
  expect((await server.inject({ method: 'HEAD', url: '/api/live' })).statusCode).toBe(404);
});
