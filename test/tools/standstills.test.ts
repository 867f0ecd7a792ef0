import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { collectiveRows } from '../../tools/bench/collective-rows.ts';
import { ownPartMs, type Standstill, watchStandstills } from '../../tools/bench/standstills.ts';

test('a loop that serves nothing for a while is told, from when to when', async () => {
  const seen: Standstill[] = [];
  const unwatch = watchStandstills(100, (standstill) => seen.push(standstill));
  await sleep(10);
  const until = performance.now() + 150;
  while (performance.now() < until);
  await sleep(10);
  unwatch();
  expect(Math.max(...seen.map(({ fromMs, toMs }) => toMs - fromMs))).toBeGreaterThan(140);
  // It computed, for at least a part of it: whatever it waited is less than all.
  expect(Math.min(...seen.map((standstill) => standstill.waitedMs))).toBeLessThan(150);
});

test('what it waited for the machine was not the worker’s doing', () => {
  const block = { fromMs: 100, toMs: 160, waitedMs: 0 };
  const idle = (fromMs: number, toMs: number): Standstill => ({ fromMs, toMs, waitedMs: 0 });
  expect(ownPartMs(block, [])).toBe(60);
  expect(ownPartMs(block, [idle(0, 100)])).toBe(60);
  expect(ownPartMs(block, [idle(90, 110), idle(150, 300)])).toBe(40);
  expect(ownPartMs(block, [idle(50, 200)])).toBe(0);
  // The idle process may have waited for the same: it is taken off once.
  expect(ownPartMs({ ...block, waitedMs: 25 }, [idle(90, 110)])).toBe(35);
});

test('the worst block is the longest of its own, and is shown by the wall clock, too', () => {
  const none = { readBytes: 0, elapsedMs: 0, cpuMs: 0, peakBytes: 0, artifactBytes: 0, stagedBytes: 0 };
  const standstills = [
    { fromMs: 100, toMs: 180, waitedMs: 50 },
    { fromMs: 500, toMs: 545, waitedMs: 0 },
  ];
  const calm = { ...none, worstBlockMs: 12, standstills: [] };
  const [row] = collectiveRows([{ ...none, worstBlockMs: 80, standstills }, calm], []);
  expect(row).toMatchObject({ landfall: 45, peer: 80, isReached: true, each: { landfall: [45, 12] } });
  const blocked = [{ fromMs: 100, toMs: 180, waitedMs: 5 }];
  const [missed] = collectiveRows([{ ...none, worstBlockMs: 80, standstills: blocked }], []);
  expect(missed).toMatchObject({ landfall: 75, isReached: false });
});
