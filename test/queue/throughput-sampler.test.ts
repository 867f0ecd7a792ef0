/** What runs moved in each ten seconds, as every process that schedules writes it down. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunRecord } from '../../src/domain/run-record.ts';
import { readEstimate, readThroughput } from '../../src/operations/estimate-run.ts';
import { createThroughputSampler } from '../../src/queue/throughput-sampler.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const AT = 1_700_000_000_000;
let server: RedisServer;
let state: State;
let run: RunRecord;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  run = { ...makeRun('r1', makeWave('w', ['a', 'b'], { bytesPerSecond: 5_000 })), createdAt: AT };
  await state.runs.create(run, makeRecords(run));
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const tell = (machine: string, step: string, doneBytes: number): Promise<void> =>
  state.progress.write('r1', {
    machine,
    step,
    doneBytes,
    totalBytes: 1e9,
    note: '',
    bytesPerSecond: 0,
    at: AT,
  });
const samples = async () => (await readThroughput(state, 'r1')).samples;

test('count what all uploads moved since the last look, with the limit in force; nothing where nothing moved', async () => {
  const sampler = createThroughputSampler(state, AT - 1);
  await tell('a', 'upload/0', 20_000);
  await tell('b', 'upload/0', 10_000);
  await tell('b', 'export/0', 99_000);
  await sampler.sample(AT + 10_000);
  await sampler.sample(AT + 20_000);
  await state.bandwidthLimits.write({ kind: 'run', run: 'r1' }, 'none');
  await tell('a', 'upload/0', 60_000);
  await sampler.sample(AT + 30_000);
  expect(await samples()).toEqual([
    { at: AT, bytesPerSecond: 3_000, limitBytesPerSecond: 5_000 },
    { at: AT + 20_000, bytesPerSecond: 4_000, limitBytesPerSecond: null },
  ]);
});

test('are the same whoever writes them, and not doubled where two do', async () => {
  const samplers = [1, 2].map(() => createThroughputSampler(state, AT - 1));
  for (const [index, done] of [10_000, 30_000].entries()) {
    await tell('a', 'upload/0', done);
    for (const sampler of samplers) await sampler.sample(AT + (index + 1) * 10_000 + 7);
  }
  expect((await samples()).map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([1_000, 2_000]);
});

test('do not take for moved what was done before: by whoever looks late, after a gap, or in an upload that begins anew', async () => {
  await tell('a', 'upload/0', 500_000);
  const late = createThroughputSampler(state, AT + 1);
  await late.sample(AT + 10_000);
  expect(await samples()).toEqual([]);
  await tell('a', 'upload/0', 900_000);
  await late.sample(AT + 60_000);
  expect(await samples()).toEqual([]);
  await state.progress.clear('r1', 'a');
  await late.sample(AT + 70_000);
  await tell('a', 'upload/0', 0);
  await late.sample(AT + 80_000);
  await tell('a', 'upload/0', 10_000);
  await late.sample(AT + 90_000);
  expect(await samples()).toMatchObject([{ at: AT + 80_000, bytesPerSecond: 1_000 }]);
});

test('are told from the first byte on of a run that was there before whoever looks, and of the last bytes before it ends', async () => {
  const late = createThroughputSampler(state, AT + 1);
  const become = async (status: RunRecord['status']): Promise<void> => {
    const now = await state.runs.get('r1');
    if (now !== null) await state.runs.commit({ ...now, status });
  };
  await become('scheduled');
  await late.sample(AT + 3_000);
  await become('running');
  await tell('a', 'upload/0', 20_000);
  await late.sample(AT + 10_000);
  await tell('a', 'upload/0', 50_000);
  await become('landed');
  await late.sample(AT + 20_000);
  expect((await samples()).map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([2_000, 3_000]);
});

test('are those of the last day only, and go by themselves once nothing was moved for a month', async () => {
  const of = { bytesPerSecond: 1, limitBytesPerSecond: null };
  await state.throughput.write('r1', { at: AT, ...of });
  await state.throughput.write('r1', { at: AT + 24 * 3_600_000, ...of });
  expect((await samples()).map(({ at }) => at)).toEqual([AT + 24 * 3_600_000]);
  expect(await state.redis.pttl('{landfall}:run:r1:throughput')).toBeGreaterThan(29 * 24 * 3_600_000);
});

test('lead to an estimate of the run as it stands', async () => {
  const machines = await state.machines.all('r1', run.machines);
  const progress = await state.progress.read('r1');
  expect(await readEstimate(state, { run, machines, progress })).toMatchObject({
    verdict: 'none',
    bytesLeft: 2 * 64 * 1024 ** 2,
    bytesPerSecond: 0,
  });
});
