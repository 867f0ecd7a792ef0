/** What live workers tell of themselves, and what is told of those that say less. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { beat, endHeartbeat, type Heartbeat, liveWorkers, UNSAID } from '../../src/state/heartbeats.ts';
import { keys } from '../../src/state/keys.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { startTestRedis } from '../fakes/redis.ts';

const WORKER: Heartbeat = {
  id: 'w1',
  host: 'h',
  pid: 1,
  site: null,
  pools: [{ stage: 'upload', concurrency: 2 }],
  schedules: false,
  startedAt: 5,
  load: 0.5,
  memoryBytes: 1e8,
  jobs: [{ run: 'r', machine: 'a', step: 'upload/0', try: 1, since: 7 }],
};
let server: RedisServer;
let state: State;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => void (await state.redis.flushall()));
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

test('a worker tells what it does and how it is, and when it did so last; one that has ended tells nothing', async () => {
  await beat(state.redis, WORKER, 100);
  await beat(state.redis, WORKER, 105);
  expect(await liveWorkers(state.redis)).toEqual([{ ...WORKER, beatAt: 105 }]);
  await endHeartbeat(state.redis, 'w1');
  expect(await liveWorkers(state.redis)).toEqual([]);
});

test('a worker of an older Landfall is alive all the same', async () => {
  const { id, host, pid, site, pools, schedules } = WORKER;
  const older = { id, host, pid, site, pools, schedules };
  await state.redis.set(keys.worker(id), JSON.stringify(older));
  await state.redis.zadd(keys.workers, 42, id);
  expect(await liveWorkers(state.redis)).toEqual([{ ...older, ...UNSAID, beatAt: 42 }]);
});
