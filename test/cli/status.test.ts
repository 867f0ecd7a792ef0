import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { startMachine } from '../../src/domain/machine-changes.ts';
import type { StepProgress } from '../../src/state/progress-board.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave, OPEN_VIEW } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { typeCommand } from './typed-command.ts';

let server: RedisServer;
let state: State;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
/** A machine with one disk on the move. */
beforeEach(async () => {
  await state.redis.flushall();
  const run = makeRun('erp-1', makeWave('erp', ['db']));
  const [record] = makeRecords(run);
  const moving = record && startMachine(record, 1);
  if (!moving) throw new Error('no record');
  await state.runs.create(run, [advanceMachine(moving, OPEN_VIEW, 1).record]);
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const status = (...words: string[]) =>
  typeCommand({ redisUrl: server.url, home: join(tmpdir(), 'landfall-none') }, ['status', 'erp-1', ...words]);

const progress = (over: Partial<StepProgress> = {}): StepProgress => ({
  machine: 'db',
  step: 'export/0',
  doneBytes: 340 * 2 ** 20,
  totalBytes: 1000 * 2 ** 20,
  zeroBytes: 942 * 2 ** 20,
  bytesPerSecond: 10e6,
  note: 'spooling',
  at: Date.now(),
  ...over,
});

describe('landfall status RUN', () => {
  test('tells bytes, zeros, rate and time to go of what is transferred', async () => {
    await state.progress.write('erp-1', progress());
    const { lines } = await status();
    expect(lines[2]).toMatch(/^db\s+moving\s+▶(\s+·)+$/);
    expect(lines[3]).toBe(
      '▶ db export 34% 340 MiB of 1000 MiB, 942 MiB zeros left out, 10 MB/s, ETA 1:09, spooling',
    );
  });

  test('tells what is waited for beside the machine, where there are no bytes', async () => {
    await state.progress.write('erp-1', progress({ totalBytes: 0, doneBytes: 0, note: 'reading its map' }));
    const { lines } = await status();
    expect(lines[2]).toMatch(/reading its map$/);
    expect(lines.slice(3)).toEqual([expect.stringMatching(/^! No live worker serves export, convert,/)]);
  });

  test('shows no rate of a worker that was not heard of for ten seconds', async () => {
    await state.progress.write('erp-1', progress({ at: Date.now() - 11_000 }));
    expect((await status()).lines[3]).not.toMatch(/MB\/s|ETA/);
    const [document] = (await status('--json')).json;
    expect(document).toMatchObject({ progress: [{ doneBytes: 340 * 2 ** 20, bytesPerSecond: 0 }] });
  });
});
