import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { METRICS } from '../../../src/dashboard/metrics/catalogue.ts';
import { registerMetrics } from '../../../src/dashboard/metrics/routes.ts';
import { LandfallError, saveError } from '../../../src/domain/errors.ts';
import type { RunEvent } from '../../../src/domain/events.ts';
import { type MachineRecord, newMachineRecord, type Step } from '../../../src/domain/machine-record.ts';
import type { RunRecord } from '../../../src/domain/run-record.ts';
import { openQueues } from '../../../src/queue/queues.ts';
import { beat, UNSAID } from '../../../src/state/heartbeats.ts';
import type { RedisServer } from '../../../src/state/redis-server.ts';
import { openState, type State } from '../../../src/state/state.ts';
import { makeMachine, makeRecords, makeRun, makeWave } from '../../fakes/records.ts';
import { startTestRedis } from '../../fakes/redis.ts';

let redis: RedisServer;
let state: State;
beforeAll(async () => {
  redis = await startTestRedis();
  state = openState(redis.url);
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});
beforeEach(() => state.redis.flushall());

type Scraper = AsyncDisposable & { scrape(): Promise<Map<string, number>>; text(): Promise<string> };

async function startScraped(): Promise<Scraper> {
  await using stack = new AsyncDisposableStack();
  const own = stack.use(openState(redis.url));
  const queues = stack.use(openQueues(redis.url));
  const server = Fastify();
  registerMetrics(server, { state: own, queues });
  await server.listen({ host: '127.0.0.1', port: 0 });
  stack.defer(() => server.close());
  const url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}/metrics`;
  const text = async (): Promise<string> => {
    const response = await fetch(url);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    return await response.text();
  };
  const owned = stack.move();
  return {
    text,
    scrape: async () => parseSamples(await text()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Asks a server that was just started, so that nothing is told from before. */
async function scrapeAnew(): Promise<Map<string, number>> {
  await using scraper = await startScraped();
  return await scraper.scrape();
}

function parseSamples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
}

async function createRun(id: string, names: string[]): Promise<{ run: RunRecord; records: MachineRecord[] }> {
  const run = makeRun(id, makeWave(`wave-${id}`, names));
  const records = makeRecords(run).map((record) =>
    newMachineRecord({ ...record, machine: makeMachine(record.machine.name), isControlled: true }),
  );
  await state.runs.create(run, records);
  return { run, records };
}

const done = (step: Step | undefined, startedAt: number, endedAt: number): Step =>
  ({ ...step, state: 'done', startedAt, endedAt }) as Step;

/** Its source was off after 10 s; the upload took 90 s; it landed after 700 s. */
function landed(record: MachineRecord): { record: MachineRecord; events: RunEvent[] } {
  const { run, machine, steps } = record;
  const at = 1_000_000;
  const of = { run, machine: machine.name };
  return {
    record: {
      ...record,
      status: 'landed',
      endedAt: at + 700_000,
      steps: {
        ...steps,
        shutdown: done(steps.shutdown, at, at + 10_000),
        'upload/0': done(steps['upload/0'], at + 10_000, at + 100_000),
      },
    },
    events: [
      { type: 'step', ...of, step: 'shutdown', state: 'done', try: 1, error: null },
      { type: 'step', ...of, step: 'upload/0', state: 'retrying', try: 2, error: THROTTLED },
      { type: 'step', ...of, step: 'upload/0', state: 'done', try: 2, error: null },
      { type: 'machine', ...of, status: 'landed', error: null },
    ],
  };
}

const THROTTLED = saveError(new LandfallError({ code: 'target-unavailable', message: 'slow down' }));

describe('what happened', () => {
  test('is counted once, whoever counts and however often', async () => {
    const { records } = await createRun('r1', ['web', 'db']);
    const [web, db] = records as [MachineRecord, MachineRecord];
    await state.machines.commit({ ...landed(web), limit: 10, lease: null });
    await Promise.all([scrapeAnew(), scrapeAnew(), scrapeAnew()]);
    const expected = {
      'landfall_step_duration_seconds_count{stage="upload"}': 1,
      'landfall_step_duration_seconds_sum{stage="upload"}': 90,
      'landfall_step_duration_seconds_bucket{stage="upload",le="60"}': 0,
      'landfall_step_duration_seconds_bucket{stage="upload",le="120"}': 1,
      'landfall_step_duration_seconds_bucket{stage="upload",le="28800"}': 1,
      'landfall_step_duration_seconds_bucket{stage="upload",le="+Inf"}': 1,
      landfall_downtime_seconds_sum: 690,
      'landfall_downtime_seconds_bucket{le="600"}': 0,
      'landfall_downtime_seconds_bucket{le="900"}': 1,
      'landfall_step_retries_total{stage="upload",code="target-unavailable"}': 1,
      'landfall_machine_outcomes_total{status="landed"}': 1,
    };
    expect(Object.fromEntries(await scrapeAnew())).toMatchObject(expected);

    await state.machines.commit({ ...landed(db), limit: 10, lease: null });
    await state.events.append({
      type: 'operator',
      run: 'r1',
      machine: null,
      action: 'limit 50 MB/s',
      by: 'ann',
      reason: null,
    });
    expect(Object.fromEntries(await scrapeAnew())).toMatchObject({
      'landfall_step_duration_seconds_count{stage="upload"}': 2,
      landfall_downtime_seconds_sum: 1_380,
      'landfall_operator_actions_total{action="limit"}': 1,
    });
  });

  test('of a run that was archived still counts, and is not looked at again', async () => {
    const { run, records } = await createRun('r1', ['web']);
    await state.machines.commit({ ...landed(records[0] as MachineRecord), limit: 10, lease: null });
    expect(await state.runs.archive({ ...run, archivedAt: 5 }, [])).toBe(true);
    expect((await scrapeAnew()).get('landfall_machine_outcomes_total{status="landed"}')).toBe(1);
    await state.events.append({
      type: 'operator',
      run: 'r1',
      machine: null,
      action: 'hold',
      by: 'ann',
      reason: null,
    });
    const again = await scrapeAnew();
    expect(again.get('landfall_machine_outcomes_total{status="landed"}')).toBe(1);
    expect(again.get('landfall_operator_actions_total{action="hold"}')).toBeUndefined();
  });

  test('in bytes is what the samples of throughput come to, once they are settled', async () => {
    await createRun('r1', ['web']);
    const now = await state.clock.now();
    const at = (seconds: number): number => Math.floor(now / 10_000) * 10_000 - seconds * 1_000;
    const sample = { limitBytesPerSecond: 5_000 };
    await state.throughput.write('r1', { at: at(60), bytesPerSecond: 1_000, ...sample });
    await state.throughput.write('r1', { at: at(50), bytesPerSecond: 2_000, ...sample });
    await state.throughput.write('r1', { at: at(10), bytesPerSecond: 4_000, ...sample });
    const samples = await scrapeAnew();
    const labels = '{run="r1",wave="wave-r1"}';
    expect(Object.fromEntries(samples)).toMatchObject({
      landfall_uploaded_bytes_total: 30_000,
      [`landfall_upload_bytes_per_second${labels}`]: 4_000,
      [`landfall_upload_limit_bytes_per_second${labels}`]: 5_000,
    });
    await state.throughput.write('r1', { at: at(40), bytesPerSecond: 500, ...sample });
    expect((await scrapeAnew()).get('landfall_uploaded_bytes_total')).toBe(35_000);
  });
});

describe('how things stand', () => {
  test('is told of runs, machines, queues and workers', async () => {
    const { run } = await createRun('r1', ['a', 'b', 'c']);
    const closesAt = 1_700_000_000_000;
    await state.runs.commit({
      ...run,
      window: { opensAt: 1, closesAt, rollbackBy: 2 } as RunRecord['window'],
    });
    await using queues = openQueues(redis.url);
    const job = { run: 'r1', stage: 'upload', disk: '0', pass: 0, try: 1 } as const;
    await queues.add([
      { ...job, machine: 'a' },
      { ...job, machine: 'b' },
    ]);
    await queues.add([{ ...job, machine: 'c' }], 'berlin');
    const pools = [{ stage: 'upload', concurrency: 4 }] as const;
    const worker = { ...UNSAID, host: 'h', pid: 1, schedules: true, site: 'berlin', pools };
    await beat(state.redis, { ...worker, id: 'w1' }, Date.now());
    await beat(state.redis, { ...worker, id: 'w2' }, Date.now());
    await queues.setPaused({ pool: 'upload', site: 'berlin' }, true);
    expect(Object.fromEntries(await scrapeAnew())).toMatchObject({
      landfall_redis_up: 1,
      'landfall_runs{status="running"}': 1,
      'landfall_runs{status="failed"}': 0,
      'landfall_machines{run="r1",wave="wave-r1",status="waiting"}': 3,
      'landfall_machines{run="r1",wave="wave-r1",status="landed"}': 0,
      'landfall_run_window_closes_timestamp_seconds{run="r1",wave="wave-r1"}': closesAt / 1000,
      'landfall_queue_jobs{pool="upload",site="",state="waiting"}': 2,
      'landfall_queue_jobs{pool="upload",site="berlin",state="waiting"}': 1,
      'landfall_queue_jobs{pool="import",site="",state="waiting"}': 0,
      'landfall_pool_paused{pool="upload",site=""}': 0,
      'landfall_pool_paused{pool="upload",site="berlin"}': 1,
      'landfall_workers{site="berlin"}': 2,
      'landfall_pool_slots{pool="upload",site="berlin"}': 8,
    });
  });

  test('names what it tells, and of this process the event loop’s lag', async () => {
    await createRun('r1', ['a']);
    await using scraper = await startScraped();
    const text = await scraper.text();
    for (const [name, { help, type }] of Object.entries(METRICS)) {
      expect(text).toContain(`# HELP ${name} ${help}\n`);
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
    }
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m);
  });

  test('hostile names stay within their labels', async () => {
    const run = makeRun('r1', makeWave('a"} 1\nlandfall_redis_up 7\n#', ['x']));
    await state.runs.create(run, makeRecords(run));
    const samples = await scrapeAnew();
    expect(samples.get('landfall_redis_up')).toBe(1);
  });

  test('of 10,000 machines costs no more than of one, but for the first look', async () => {
    const names = Array.from({ length: 10_000 }, (_none, index) => `vm-${index}`);
    const { records } = await createRun('r1', names);
    for (const record of records.slice(0, 500))
      await state.machines.commit({ ...landed(record), limit: 10_000, lease: null });
    expect((await scrapeAnew()).get('landfall_machine_outcomes_total{status="landed"}')).toBe(500);
    const before = await commandsDone();
    const startedAt = performance.now();
    await scrapeAnew();
    expect((await commandsDone()) - before).toBeLessThan(100);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test('while Redis is away that much is told, and all again when it is back', async () => {
    await createRun('r1', ['a']);
    await using own = await startTestRedis();
    const ownState = openState(own.url);
    const queues = openQueues(own.url);
    const server = Fastify();
    registerMetrics(server, { state: ownState, queues });
    try {
      const run = makeRun('r2', makeWave('w', ['a']));
      await ownState.runs.create(run, makeRecords(run));
      process.kill(own.pid(), 'SIGSTOP');
      const away = (await server.inject('/metrics')).body;
      expect(away).toMatch(/^landfall_redis_up 0$/m);
      expect(away).toMatch(/^nodejs_eventloop_lag_seconds /m);
      expect(away).not.toContain('landfall_runs');
      process.kill(own.pid(), 'SIGCONT');
      await expect
        .poll(async () => (await server.inject('/metrics')).body, { timeout: 15_000, interval: 500 })
        .toMatch(/^landfall_runs\{status="running"\} 1$/m);
    } finally {
      process.kill(own.pid(), 'SIGCONT');
      await server.close();
      await queues[Symbol.asyncDispose]();
      await ownState[Symbol.asyncDispose]();
    }
  });

  async function commandsDone(): Promise<number> {
    const info = await state.redis.info('stats');
    return Number(/total_commands_processed:(\d+)/.exec(info)?.[1]);
  }
});
