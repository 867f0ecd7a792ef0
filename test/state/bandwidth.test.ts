import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBandwidths } from '../../src/state/bandwidth.ts';
import { createBandwidthLimits } from '../../src/state/bandwidth-limits.ts';
import { closeRedis, openRedis } from '../../src/state/redis.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { startTestRedis } from '../fakes/redis.ts';

const KB = 1_000;
const MIB = 2 ** 20;
const { signal } = new AbortController();
const run = { kind: 'run', run: 'run-1' } as const;
const host = { kind: 'host', host: 'worker-1' } as const;

let server: RedisServer;
let state: State;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** As in a worker on that host, for one step of a run. */
function openOn(hostName: string, of: { run?: string; bytesPerSecond?: number } = {}, on = state) {
  const { redis, bandwidthLimits: limits } = on;
  return createBandwidths({ redis, limits }, hostName).open({
    run: of.run ?? 'run-1',
    plannedRate: () => of.bytesPerSecond,
  });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

describe('a limit', () => {
  test('holds for all workers of a run together, on whatever hosts', async () => {
    await state.bandwidthLimits.write(run, 1_000 * KB);
    const workers = ['a', 'b', 'c'].map((name) => openOn(name));
    const send = async (worker: (typeof workers)[number]): Promise<void> => {
      for (let block = 0; block < 10; block += 1) await worker.take(20 * KB, signal);
    };
    // 600 kB at 1 MB/s; the last take is paid by whoever comes next.
    const elapsedMs = await timed(() => Promise.all(workers.map(send)));
    expect(elapsedMs).toBeGreaterThan(560);
    expect(elapsedMs).toBeLessThan(1_500);
  });

  test('holds for all runs of a host together', async () => {
    await state.bandwidthLimits.write(host, 1_000 * KB);
    const one = openOn('worker-1', { run: 'run-1' });
    const other = openOn('worker-1', { run: 'run-2' });
    await one.take(300 * KB, signal);
    expect(await timed(() => other.take(1, signal))).toBeGreaterThan(250);
  });

  test('of another run or host does not hold', async () => {
    await state.bandwidthLimits.write(run, 1 * KB);
    await state.bandwidthLimits.write(host, 1 * KB);
    const other = openOn('worker-2', { run: 'run-2' });
    const send = async (): Promise<void> => {
      for (let block = 0; block < 100; block += 1) await other.take(1_000 * KB, signal);
    };
    expect(await timed(send)).toBeLessThan(500);
  });

  test('is shared by bytes, not by turns: large parts leave small blocks as much as they get', async () => {
    await state.bandwidthLimits.write(run, 64 * MIB);
    const stops = new AbortController();
    const sendUntilStopped = async (takeBytes: number): Promise<number> => {
      const worker = openOn('worker-1');
      let sentBytes = 0;
      const lane = async (): Promise<void> => {
        for (;;) {
          await worker.take(takeBytes, stops.signal);
          sentBytes += takeBytes;
        }
      };
      await Promise.allSettled([lane(), lane(), lane(), lane()]);
      return sentBytes;
    };
    const sending = Promise.all([sendUntilStopped(8 * MIB), sendUntilStopped(MIB / 2)]);
    // Some hundred turns: long enough for parts, which count once they are whole.
    setTimeout(() => stops.abort(), 2_500);
    const [parts, blocks] = await sending;
    expect(parts / blocks).toBeLessThan(2);
    expect(blocks / parts).toBeLessThan(2);
    // And no less than the limit allows for both together.
    expect(parts + blocks).toBeGreaterThan(0.75 * 2.5 * 64 * MIB);
  });

  test('takes the narrower one, where run and host have one', async () => {
    await state.bandwidthLimits.write(run, 100_000 * KB);
    await state.bandwidthLimits.write(host, 1_000 * KB);
    const worker = openOn('worker-1');
    await worker.take(300 * KB, signal);
    expect(await timed(() => worker.take(1, signal))).toBeGreaterThan(250);
  });

  test('lets a take pass that is larger than its bucket, which pays later', async () => {
    await state.bandwidthLimits.write(run, 1_000 * KB);
    const worker = openOn('worker-1');
    expect(await timed(() => worker.take(400 * KB, signal))).toBeLessThan(200);
    const waitedMs = await timed(() => worker.take(1, signal));
    expect(waitedMs).toBeGreaterThan(350);
    expect(waitedMs).toBeLessThan(1_000);
  });

  test('of the wave holds until an operator says otherwise, be it `none`', async () => {
    const worker = openOn('worker-1', { bytesPerSecond: 1_000 * KB });
    await worker.take(300 * KB, signal);
    expect(await timed(() => worker.take(1, signal))).toBeGreaterThan(250);
    await state.bandwidthLimits.write(run, 'none');
    const lifted = openOn('worker-1', { bytesPerSecond: 1_000 * KB });
    await lifted.take(10_000 * KB, signal);
    expect(await timed(() => lifted.take(10_000 * KB, signal))).toBeLessThan(200);
  });

  test('that is raised or set meanwhile is noticed by those who wait and those who send', async () => {
    await state.bandwidthLimits.write(run, 1 * KB);
    const worker = openOn('worker-1');
    await worker.take(100 * KB, signal); // 100 s of debt
    const waiting = timed(() => worker.take(1, signal));
    await state.bandwidthLimits.write(run, 1_000 * KB);
    expect(await waiting).toBeLessThan(3_000);

    await state.bandwidthLimits.write(run, 'none');
    await expect.poll(() => timed(() => worker.take(300 * KB, signal)), { timeout: 5_000 }).toBeLessThan(20);
    await state.bandwidthLimits.write(run, 1_000 * KB);
    await expect
      .poll(() => timed(() => worker.take(300 * KB, signal)), { timeout: 5_000, interval: 10 })
      .toBeGreaterThan(200);
  });
});

describe('take', () => {
  test('asks Redis for limits once a second at most, and nothing else, where none is set', async () => {
    const worker = openOn('worker-1');
    await worker.take(1, signal);
    await state.redis.config('RESETSTAT');
    for (let block = 0; block < 1_000; block += 1) await worker.take(512 * KB, signal);
    const stats = await state.redis.info('commandstats');
    expect(stats).not.toContain('cmdstat_eval:');
    expect(Number(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1] ?? 0)).toBeLessThanOrEqual(2);
  });

  test('serves in order, and whoever is aborted hears of it at once and lets the others pass', async () => {
    await state.bandwidthLimits.write(run, 1_000 * KB);
    const worker = openOn('worker-1');
    await worker.take(400 * KB, signal);
    const served: string[] = [];
    const leaves = new AbortController();
    const first = worker.take(1, signal).then(() => void served.push('first'));
    const left = worker.take(100_000 * KB, leaves.signal);
    const last = worker.take(1, signal).then(() => void served.push('last'));
    leaves.abort(new Error('stopped'));
    await expect(left).rejects.toThrow('stopped');
    expect(served).toEqual([]);
    await Promise.all([first, last]);
    expect(served).toEqual(['first', 'last']);
  });

  test('throws the reason of the abort while it waits for the bucket', async () => {
    await state.bandwidthLimits.write(run, 1 * KB);
    const worker = openOn('worker-1');
    await worker.take(100 * KB, signal);
    const stops = new AbortController();
    const waiting = worker.take(1, stops.signal);
    stops.abort(new Error('lease lost'));
    await expect(waiting).rejects.toThrow('lease lost');
  });
});

describe('while Redis is away', () => {
  test('the last known limits hold in this process, and nothing stops for ever', async () => {
    const own = await startTestRedis();
    const away = openState(own.url);
    try {
      await away.bandwidthLimits.write(run, 1_000 * KB);
      const limited = openOn('worker-1', {}, away);
      const unlimited = openOn('worker-2', { run: 'run-2' }, away);
      await limited.take(1, signal);
      await unlimited.take(1, signal);
      await own[Symbol.asyncDispose]();
      await expect.poll(() => away.redis.status).not.toBe('ready');
      await limited.take(300 * KB, signal);
      const waitedMs = await timed(() => limited.take(1, signal));
      expect(waitedMs).toBeGreaterThan(250);
      expect(waitedMs).toBeLessThan(2_500);
      expect(await timed(() => unlimited.take(10_000 * KB, signal))).toBeLessThan(200);
    } finally {
      await away[Symbol.asyncDispose]();
    }
  });

  test('a Redis that hangs is given a second, then it goes on without', async () => {
    await state.bandwidthLimits.write(run, 1_000 * KB);
    const redis = openRedis(server.url);
    try {
      const worker = createBandwidths({ redis, limits: createBandwidthLimits(redis) }, 'worker-1').open({
        run: 'run-1',
        plannedRate: () => undefined,
      });
      await worker.take(1, signal);
      await state.redis.call('CLIENT', 'PAUSE', '2500', 'ALL');
      const waitedMs = await timed(async () => {
        for (let block = 0; block < 20; block += 1) await worker.take(1, signal);
      });
      expect(waitedMs).toBeGreaterThan(500);
      expect(waitedMs).toBeLessThan(3_000);
    } finally {
      closeRedis(redis);
    }
  });
});
