/** A real Redis for one test file, on a socket of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisServer, startRedisServer } from '../../src/state/redis-server.ts';

export async function startTestRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-test-redis-'));
  const server = await startRedisServer({ folder, log: () => {} });
  return {
    url: server.url,
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
