import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { probeAcceleration, runsGuest } from '../../src/boot/acceleration.ts';

test('the tiny guest runs to its end under plain emulation, so its failure under KVM means KVM', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  try {
    expect(await runsGuest('tcg', folder)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the probe answers within its deadline, once per process', async () => {
  const started = performance.now();
  const first = probeAcceleration();
  await expect(first).resolves.toMatch(/^(kvm|tcg)$/);
  expect(performance.now() - started).toBeLessThan(10_000);
  const again = performance.now();
  expect(await probeAcceleration()).toBe(await first);
  expect(performance.now() - again).toBeLessThan(50);
});

test('what the probe says is true: a guest runs under it', async () => {
  expect(await runsGuest(await probeAcceleration())).toBe(true);
});

test('an abort ends one wait and leaves the answer to others', async () => {
  const reason = new Error('the operator cancelled');
  await expect(probeAcceleration({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  await expect(probeAcceleration()).resolves.toMatch(/^(kvm|tcg)$/);
});
