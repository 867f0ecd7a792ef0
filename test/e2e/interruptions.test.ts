import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RunningTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { BUCKET, type Ground, openGround } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { differences, findLanded } from './landed-disks.ts';
import { redisOf } from './processes.ts';
import { machineOf, stepOf, untilStep } from './run-records.ts';
import { holdPartsAfter, untilHeld } from './uploads.ts';

/** A worker that is told to stop gives its jobs back within 2 s; then it has to leave. */
const GIVE_BACK_MS = 2_000;
/** "At once" on a machine whose cores are shared; without being given back, the job would rest for 10 s at least. */
const AT_ONCE_MS = 4_000;
const NOISE_MIB = 120;

let ground: Ground;
let machine: GuestMachine;
let state: State;
let run: string;
let up: RunningTool;
let follower: RunningTool;
let key: string;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01', noiseMib: NOISE_MIB });
  const wave = await ground.writeWave({ name: 'interrupted', machines: [machine.wave] });
  up = await ground.up('--no-pools');
  state = await ground.state();
  follower = await ground.start(['run', wave, '--json']);
  run = String(await vi.waitUntil(() => state.runs.ofWave('interrupted'), { timeout: 15_000 }));
  await ground.worker('export,convert,import,validate,power');
}, 90_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

const disk = () => ({ run, machine: 'web01', disk: '1' });

describe('`landfall up`', () => {
  test('may be killed with its Redis and started again: who was connected goes on by itself', async () => {
    process.kill(up.pid, 'SIGKILL');
    await up.exited;
    await ground.up('--no-pools');
    expect(await state.runs.get(run)).toMatchObject({ id: run, status: 'running' });
    // So do the worker and the `run` of before: what follows is their work.
    await untilStep(state, { run, machine: 'web01', step: 'convert', is: 'done' });
  }, 60_000);
});

/** One upload that is interrupted time and again: the tests follow it. */
describe('an upload', () => {
  test('is given back by a worker that is told to stop, and another goes on at once', async () => {
    holdPartsAfter(ground, 6);
    const first = await ground.worker('upload');
    ({ key } = await untilHeld(ground, { ...disk(), count: 6 }));
    await ground.worker('upload');
    holdPartsAfter(ground, 12, 5_000);
    const stoppedAt = performance.now();
    process.kill(first.pid, 'SIGTERM');
    await expect
      .poll(() => ground.sandbox.requests.storedParts(BUCKET, key).size, { timeout: 30_000, interval: 10 })
      .toBeGreaterThan(6);
    expect(performance.now() - stoppedAt).toBeLessThan(GIVE_BACK_MS + AT_ONCE_MS);
    const { exitCode } = await first.exited;
    expect(exitCode).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(GIVE_BACK_MS + AT_ONCE_MS);
    expect(await stepOf(state, { run, machine: 'web01', step: 'upload/1' })).toMatchObject({
      try: 1,
      failures: 0,
    });
  }, 90_000);

  test('goes on when Redis is killed and comes back, and loses no record', async () => {
    await untilHeld(ground, { ...disk(), count: 12 });
    const before = await machineOf(state, { run, machine: 'web01' });
    const pid = await redisOf(ground.home);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => redisOf(ground.home).catch(() => pid), { timeout: 15_000 }).not.toBe(pid);
    const after = await machineOf(state, { run, machine: 'web01' });
    expect(after.version).toBeGreaterThanOrEqual(before.version);
    expect(after.images).toEqual(before.images);
    expect(after.artifacts).toMatchObject(before.artifacts);
    ground.sandbox.faults.clear();
    await untilStep(state, { run, machine: 'web01', step: 'upload/1', is: 'done' });
  }, 90_000);

  test('ends whole: the run lands, and `run` said that Redis was away and is back', async () => {
    const { exitCode, stderr } = await follower.exited;
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/The `landfall up` of .* has ended\. Start it again: `landfall up`\./);
    expect(stderr).toMatch(/Redis is away .*; waiting for it\.[\s\S]*Redis is back; going on\./);
    const landed = await findLanded(ground, { run, machine: 'web01' });
    expect(await differences(ground, { landed, sources: machine.disks })).toEqual([]);
    // Neither interruption made a part that was held go over the line again.
    const counts = new Set(ground.sandbox.requests.storedParts(BUCKET, key).values());
    expect([...counts]).toEqual([1]);
  }, 120_000);
});
