import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { beat, UNSAID } from '../../src/state/heartbeats.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { type Said, typeCommand } from './typed-command.ts';

let server: RedisServer;
let state: State;
let home: string;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
  home = await mkdtemp(join(tmpdir(), 'landfall-limit-'));
});
beforeEach(async () => {
  await state.redis.flushall();
  const wave = makeWave('erp', ['a'], { bytesPerSecond: 20_000_000 });
  await state.runs.create(makeRun('erp-1', wave), makeRecords(makeRun('erp-1', wave)));
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await rm(home, { recursive: true, force: true });
});

const limit = (...words: string[]): Promise<Said> =>
  typeCommand({ redisUrl: server.url, home }, ['limit', ...words]);

async function actions(): Promise<unknown[]> {
  const events = await Array.fromAsync(state.events.readAll('erp-1', '0'));
  return events.flatMap((event) => (event.type === 'operator' ? [[event.action, event.reason]] : []));
}

describe('landfall limit RUN', () => {
  test('shows what holds, and that it comes from the wave', async () => {
    expect((await limit('erp')).lines).toEqual([
      'All workers of run erp-1 together: 20 MB/s, as the wave says.',
    ]);
    expect(await actions()).toEqual([]);
  });

  test('sets another rate, and keeps who did it and why', async () => {
    const { lines } = await limit('erp-1', '400 Mbit/s', '--reason', 'office hours');
    expect(lines).toEqual(['All workers of run erp-1 together: 50 MB/s.']);
    expect(await state.bandwidthLimits.read([{ kind: 'run', run: 'erp-1' }])).toEqual([50_000_000]);
    expect(await actions()).toEqual([['limit 50 MB/s', 'office hours']]);
  });

  test('remarks that nothing is being sent by a run that ended', async () => {
    expect((await limit('erp-1', '1MB/s')).remarks).toEqual([]);
    const ended = { ...makeRun('erp-2', makeWave('old', [])), status: 'landed' } as const;
    await state.runs.create(ended, []);
    expect((await limit('erp-2', '1MB/s')).remarks).toEqual([
      'Nothing is being sent: run erp-2 is landed. A retry will heed it.',
    ]);
    expect((await limit('erp-2')).remarks).toEqual([]);
  });

  test('lifts what the wave says', async () => {
    const { json } = await limit('erp-1', 'none', '--json');
    expect(json).toEqual([{ run: 'erp-1', bytesPerSecond: null, setBy: 'operator' }]);
    expect((await limit('erp-1')).lines).toEqual(['All workers of run erp-1 together: no limit.']);
  });

  test('refuses what is no rate, no run or too much, and changes nothing', async () => {
    await expect(limit('erp-1', '50')).rejects.toMatchObject({
      code: 'usage',
      message: /"50" must be a rate/,
    });
    await expect(limit('none-such', '50MB/s')).rejects.toMatchObject({ code: 'not-found' });
    await expect(limit()).rejects.toMatchObject({ code: 'usage' });
    await expect(limit('erp-1', '50MB/s', '--host', 'worker-1')).rejects.toMatchObject({ code: 'usage' });
    expect(await actions()).toEqual([]);
  });
});

describe('landfall limit --host', () => {
  test('sets and shows the rate of all workers there, and tells every live run', async () => {
    const heartbeat = {
      id: 'w',
      host: 'worker-1',
      pid: 1,
      site: null,
      pools: [],
      schedules: false,
      ...UNSAID,
    };
    await beat(state.redis, heartbeat, Date.now());
    const { lines, remarks } = await limit('--host', 'worker-1', '30MiB/s');
    expect(lines).toEqual(['All workers of worker-1: 31.5 MB/s.']);
    expect(remarks).toEqual([]);
    expect(await actions()).toEqual([['limit host worker-1 31.5 MB/s', null]]);
    const shown = await limit('--host', 'worker-1', '--json');
    expect(shown.json).toEqual([{ host: 'worker-1', bytesPerSecond: 31_457_280, setBy: 'operator' }]);
    await limit('--host', 'worker-1', 'none');
    expect((await limit('--host', 'worker-1')).lines).toEqual(['All workers of worker-1: no limit.']);
  });

  test('says where workers live, when none lives there', async () => {
    const { remarks } = await limit('--host', 'wroker-1', '1MB/s');
    expect(remarks[0]).toMatch(/No worker lives on wroker-1 now/);
  });
});
