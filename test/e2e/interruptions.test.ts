import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RunningTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { BUCKET, type Ground, openGround } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { differences, findLanded } from './landed-disks.ts';
import { redisOf } from './processes.ts';
import { machineOf, stepOf, untilStep } from './run-records.ts';
import { findUpload } from './uploads.ts';

/** A worker that is told to stop gives its jobs back within 2 s; then it has to leave. */
const GIVE_BACK_MS = 2_000;
/** "At once", on a machine whose cores are shared. */
const AT_ONCE_MS = 2_000;
const NOISE_MIB = 120;

let ground: Ground;
let machine: GuestMachine;
let state: State;
let run: string;
let follower: RunningTool;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01', noiseMib: NOISE_MIB });
  const wave = await ground.writeWave({ name: 'interrupted', machines: [machine.wave] });
  await ground.up('--no-pools');
  state = await ground.state();
  follower = await ground.start(['run', wave, '--json']);
  run = String(await vi.waitUntil(() => state.runs.ofWave('interrupted'), { timeout: 15_000 }));
  ground.sandbox.faults.add({ service: 's3', action: 'UploadPart', delayMs: 800, times: 1_000 });
  await ground.worker('export,convert,import,validate');
}, 90_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

const upload = () => findUpload(ground, { run, machine: 'web01', disk: '1' });
const partsSent = () => ground.sandbox.requests.received('s3', 'UploadPart');

async function untilMoreParts(count = 1): Promise<void> {
  const before = partsSent();
  await expect.poll(partsSent, { timeout: 40_000, interval: 10 }).toBeGreaterThanOrEqual(before + count);
}

/** One upload that is interrupted time and again: the tests follow it. */
describe('an upload', () => {
  test('is given back by a worker that is told to stop, and another goes on at once', async () => {
    const first = await ground.worker('upload');
    await untilStep(state, { run, machine: 'web01', step: 'upload/0', is: 'done' });
    await untilMoreParts(6);
    await ground.worker('upload');
    const stoppedAt = performance.now();
    process.kill(first.pid, 'SIGTERM');
    const looks = ground.sandbox.requests.received('s3', 'ListParts');
    await expect
      .poll(() => ground.sandbox.requests.received('s3', 'ListParts'), { timeout: 15_000, interval: 10 })
      .toBeGreaterThan(looks);
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
    await untilMoreParts(4);
    // So slow that the upload outlasts the outage.
    ground.sandbox.faults.clear();
    ground.sandbox.faults.add({ service: 's3', action: 'UploadPart', delayMs: 3_000, times: 1_000 });
    const before = await machineOf(state, { run, machine: 'web01' });
    const held = (await upload()).held.length;
    const pid = await redisOf(ground.home);
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => redisOf(ground.home).catch(() => pid), { timeout: 15_000 }).not.toBe(pid);
    const after = await machineOf(state, { run, machine: 'web01' });
    expect(after.version).toBeGreaterThanOrEqual(before.version);
    expect(after.images).toEqual(before.images);
    expect(after.artifacts).toMatchObject(before.artifacts);
    await expect.poll(async () => (await upload()).held.length, { timeout: 40_000 }).toBeGreaterThan(held);
  }, 90_000);

  test('ends whole: the run lands, and `run` said that Redis was away and is back', async () => {
    const { key } = await upload();
    ground.sandbox.faults.clear();
    const { exitCode, stderr } = await follower.exited;
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toMatch(/Redis is away .*; waiting for it\.[\s\S]*Redis is back; going on\./);
    const landed = await findLanded(ground, { run, machine: 'web01' });
    expect(await differences(ground, { landed, sources: machine.disks })).toEqual([]);
    // Neither interruption made a part that was held go over the line again.
    const counts = new Set(ground.sandbox.requests.storedParts(BUCKET, key).values());
    expect([...counts]).toEqual([1]);
  }, 120_000);
});
