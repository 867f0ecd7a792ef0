import { expect, test } from 'vitest';
import { inTurn } from '../../src/queue/in-turn.ts';

test('whoever asks while work is under way shares the next time, which begins after they asked', async () => {
  const gates: PromiseWithResolvers<void>[] = [];
  const look = inTurn(async () => {
    const gate = Promise.withResolvers<void>();
    const turn = gates.push(gate);
    await gate.promise;
    return turn;
  });
  const first = look('run');
  const shared = Array.from({ length: 100 }, () => look('run'));
  expect(gates).toHaveLength(1);
  gates[0]?.resolve();
  expect(await first).toBe(1);
  await expect.poll(() => gates.length).toBe(2);
  const after = look('run');
  gates[1]?.resolve();
  expect(new Set(await Promise.all(shared))).toEqual(new Set([2]));
  await expect.poll(() => gates.length).toBe(3);
  gates[2]?.resolve();
  expect(await after).toBe(3);
});

test('a failure is told to those who asked for that turn, and the next turn comes all the same', async () => {
  let turns = 0;
  const look = inTurn(async () => {
    turns += 1;
    if (turns === 1) throw new Error('Redis is away');
    return turns;
  });
  const first = look('run');
  const second = look('run');
  await expect(first).rejects.toThrow('Redis is away');
  expect(await second).toBe(2);
});
