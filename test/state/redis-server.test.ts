import { chmod, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startRedisServer } from '../../src/state/redis-server.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-redis-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const start = () => startRedisServer({ folder, log: () => {} });
const socketFolderOf = (url: string): string => dirname(url.slice('unix:'.length));

describe('the embedded Redis', () => {
  test('has the same socket each time for the same data, and leaves none behind', async () => {
    const first = await start();
    await first[Symbol.asyncDispose]();
    await expect(stat(socketFolderOf(first.url))).rejects.toMatchObject({ code: 'ENOENT' });
    await using second = await start();
    expect(second.url).toBe(first.url);
  });

  test('refuses a socket folder that others can enter', async () => {
    const server = await start();
    const sockets = socketFolderOf(server.url);
    await chmod(sockets, 0o755);
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(sockets),
      });
    } finally {
      await server[Symbol.asyncDispose]();
    }
  });
});
