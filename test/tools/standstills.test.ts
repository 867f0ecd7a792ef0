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
});

test('what the machine kept from an idle process at the same time was not the worker’s doing', () => {
  const block = { fromMs: 100, toMs: 160 };
  expect(ownPartMs(block, [])).toBe(60);
  expect(ownPartMs(block, [{ fromMs: 0, toMs: 100 }])).toBe(60);
  expect(
    ownPartMs(block, [
      { fromMs: 90, toMs: 110 },
      { fromMs: 150, toMs: 300 },
    ]),
  ).toBe(40);
  expect(ownPartMs(block, [{ fromMs: 50, toMs: 200 }])).toBe(0);
});

test('the worst block is the longest of its own, and is shown with what everybody lost, too', () => {
  const none = { readBytes: 0, elapsedMs: 0, cpuMs: 0, peakBytes: 0, artifactBytes: 0, stagedBytes: 0 };
  const standstills = [
    { fromMs: 100, toMs: 180 },
    { fromMs: 500, toMs: 545 },
  ];
  const [row] = collectiveRows(
    [
      { ...none, worstBlockMs: 80, standstills },
      { ...none, worstBlockMs: 12, standstills: [] },
    ],
    [{ fromMs: 120, toMs: 180 }],
  );
  expect(row).toMatchObject({ landfall: 45, peer: 80, isReached: true, each: { landfall: [45, 12] } });
  const [missed] = collectiveRows([{ ...none, worstBlockMs: 80, standstills }], []);
  expect(missed).toMatchObject({ landfall: 80, isReached: false });
});
