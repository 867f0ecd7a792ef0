import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AdaptiveLimit,
  backOff,
  createAdaptiveLimit,
  grow,
  type LimitState,
  settle,
} from '../../src/blocks/adaptive-limit.ts';

const starting: LimitState = { limit: 4, isStarting: true, echoes: 0 };
const growing: LimitState = { limit: 4, isStarting: false, echoes: 0 };
const settling: LimitState = { limit: 4, isStarting: false, echoes: 3 };

describe('the decision', () => {
  const table: [string, LimitState, LimitState][] = [
    [
      'starting, a success in a full window: one more',
      grow(starting, { inFlight: 4, max: 64 }),
      { ...starting, limit: 5 },
    ],
    [
      'growing, a success in a full window: a share of one',
      grow(growing, { inFlight: 4, max: 64 }),
      { ...growing, limit: 4.25 },
    ],
    ['a success in a window that is not full', grow(starting, { inFlight: 3, max: 64 }), starting],
    ['a success at the maximum', grow(starting, { inFlight: 4, max: 4 }), starting],
    ['a success of what was under way at a back-off', grow(settling, { inFlight: 4, max: 64 }), settling],
    ['the first throttle', backOff(starting, { inFlight: 4 }), { limit: 2.8, isStarting: false, echoes: 4 }],
    [
      'a throttle while growing',
      backOff(growing, { inFlight: 2 }),
      { limit: 2.8, isStarting: false, echoes: 2 },
    ],
    ['an echo of a throttle', backOff(settling, { inFlight: 4 }), settling],
    [
      'a throttle of the last request',
      backOff({ ...growing, limit: 1 }, { inFlight: 1 }),
      { limit: 1, isStarting: false, echoes: 1 },
    ],
    ['a request that was under way ended', settle(settling), { ...settling, echoes: 2 }],
    ['a request ended', settle(growing), growing],
  ];
  test.each(table)('%s', (_name, actual, expected) => expect(actual).toEqual(expected));
});

const { signal } = new AbortController();

async function fill(limit: AdaptiveLimit): Promise<void> {
  while (limit.inFlight() < limit.limit()) await limit.acquire(signal);
}

/** One round: as many requests as may be are sent and answered. A service throttles those beyond what it takes. */
async function round(limit: AdaptiveLimit, capacity: number): Promise<void> {
  await fill(limit);
  const sent = limit.inFlight();
  for (let request = 0; request < sent; request += 1) {
    if (request < capacity) limit.succeeded();
    else limit.throttled();
    limit.release();
  }
}

describe('createAdaptiveLimit', () => {
  test('doubles every round up to its maximum while all goes well', async () => {
    const limit = createAdaptiveLimit({ start: 2, max: 64 });
    const seen: number[] = [];
    for (let rounds = 0; rounds < 6; rounds += 1) {
      await fill(limit);
      seen.push(limit.limit());
      const sent = limit.inFlight();
      // Each answer makes room for its own successor and one more, as in a stream of requests.
      for (let request = 0; request < sent; request += 1) {
        limit.succeeded();
        limit.release();
        await fill(limit);
      }
    }
    expect(seen).toEqual([2, 4, 8, 16, 32, 64]);
  });

  test('comes to rest around what the service takes', async () => {
    const limit = createAdaptiveLimit({ start: 2, max: 256 });
    const seen: number[] = [];
    for (let rounds = 0; rounds < 400; rounds += 1) {
      await round(limit, 40);
      seen.push(limit.limit());
    }
    const settled = seen.slice(200);
    expect(Math.max(...settled)).toBeLessThanOrEqual(45);
    expect(Math.min(...settled)).toBeGreaterThanOrEqual(26);
    const mean = settled.reduce((sum, each) => sum + each, 0) / settled.length;
    expect(mean).toBeGreaterThan(0.8 * 40);
  });

  test('backs off once for all requests of a window', async () => {
    const limit = createAdaptiveLimit({ start: 10, max: 64 });
    await fill(limit);
    for (let request = 0; request < 10; request += 1) {
      limit.throttled();
      limit.release();
    }
    expect(limit.limit()).toBe(7);
    await limit.acquire(signal);
    limit.throttled();
    expect(limit.limit()).toBe(4);
  });

  test('counts a throttle once for a request that is throttled on each of its tries', async () => {
    const limit = createAdaptiveLimit({ start: 10, max: 64 });
    await limit.acquire(signal);
    for (let attempt = 0; attempt < 5; attempt += 1) limit.throttled();
    expect(limit.limit()).toBe(7);
  });

  test('lets one through at least, whatever the service says', async () => {
    const limit = createAdaptiveLimit({ start: 3, max: 8 });
    for (let rounds = 0; rounds < 20; rounds += 1) await round(limit, 0);
    expect(limit.limit()).toBe(1);
    await limit.acquire(signal);
  });

  test('serves first who came first', async () => {
    const limit = createAdaptiveLimit({ start: 1, max: 1 });
    await limit.acquire(signal);
    const served: number[] = [];
    const waits = [1, 2, 3].map((name) =>
      limit.acquire(signal).then(() => {
        served.push(name);
        limit.release();
      }),
    );
    expect(served).toEqual([]);
    limit.release();
    await Promise.all(waits);
    expect(served).toEqual([1, 2, 3]);
  });

  test('does not hand its turn to whoever stopped waiting', async () => {
    const limit = createAdaptiveLimit({ start: 1, max: 1 });
    await limit.acquire(signal);
    const leaves = new AbortController();
    const left = limit.acquire(leaves.signal);
    const stays = limit.acquire(signal);
    leaves.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    await expect(limit.acquire(leaves.signal)).rejects.toThrow('gone');
    limit.release();
    await stays;
    expect(limit.inFlight()).toBe(1);
  });

  test('never lets more through than its limit, whatever happens', async () => {
    const event = fc.constantFrom('acquire', 'release', 'throttled', 'succeeded');
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 200 }), async (events) => {
        const limit = createAdaptiveLimit({ start: 2, max: 6 });
        const ends = new AbortController();
        let waits = 0;
        for (const each of events) {
          const before = limit.inFlight();
          if (each === 'acquire') {
            waits += 1;
            limit.acquire(ends.signal).catch(() => {});
          } else if (before > 0) limit[each]();
          expect(limit.limit()).toBeGreaterThanOrEqual(1);
          expect(limit.limit()).toBeLessThanOrEqual(6);
          if (limit.inFlight() > before) expect(limit.inFlight()).toBeLessThanOrEqual(limit.limit());
          if (each === 'release' && before > 0) waits -= 1;
          expect(limit.inFlight()).toBeLessThanOrEqual(waits);
        }
        ends.abort();
      }),
    );
  });

  test('runs requests in their turn, counts what worked, and gives the turn back whatever happened', async () => {
    const limit = createAdaptiveLimit({ start: 1, max: 8 });
    expect(await limit.run(async () => limit.inFlight(), signal)).toBe(1);
    expect([limit.inFlight(), limit.limit()]).toEqual([0, 2]);
    await expect(limit.run(() => Promise.reject(new Error('denied')), signal)).rejects.toThrow('denied');
    expect([limit.inFlight(), limit.limit()]).toEqual([0, 2]);
  });

  test('refuses limits that are none, and a release too many', () => {
    expect(() => createAdaptiveLimit({ start: 0, max: 4 })).toThrow(RangeError);
    expect(() => createAdaptiveLimit({ start: 5, max: 4 })).toThrow(RangeError);
    expect(() => createAdaptiveLimit({ start: 1, max: 4 }).release()).toThrow(RangeError);
  });
});
