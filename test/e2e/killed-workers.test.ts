import { DescribeImportSnapshotTasksCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { BUCKET, type Ground, openGround } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { differences, findLanded } from './landed-disks.ts';
import { stepOf, untilRun, untilStep } from './run-records.ts';
import { holdPartsAfter, untilHeld } from './uploads.ts';

/** Another worker goes on within 20 s of a SIGKILL: lock 10 s, then at most two checks 5 s apart. */
const TAKEOVER_MS = 20_000;
/** A shared machine may be slow to start what goes on. */
const TOLERANCE_MS = 3_000;
/** Noise does not shrink, so the upload is a little larger than this; in parts of 5 MiB. */
const NOISE_MIB = 60;
const NOISE_PARTS = 13;

let ground: Ground;
let machine: GuestMachine;
let state: State;
let run: string;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01', noiseMib: NOISE_MIB });
  const wave = await ground.writeWave({ name: 'killed', machines: [machine.wave] });
  await ground.up('--no-pools');
  state = await ground.state();
  const told = await ground.landfall(['run', wave, '--detach', '--json']);
  expect(told, told.stderr).toMatchObject({ status: 0 });
  run = (JSON.parse(told.stdout) as { run: string }).run;
}, 90_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

/** Ends the worker as a crash would; when this resolves it is gone. */
async function kill(worker: RunningTool): Promise<number> {
  const at = performance.now();
  process.kill(worker.pid, 'SIGKILL');
  await worker.exited;
  return at;
}

async function until(isTrue: () => boolean | Promise<boolean>, timeout = 30_000): Promise<void> {
  await expect.poll(isTrue, { timeout, interval: 5 }).toBe(true);
}

/** One machine, whose worker is killed with SIGKILL in the middle of each stage: the tests follow it. */
describe('a machine whose workers are killed', () => {
  test('in the middle of upload: another goes on within 20 s and sends no part that is held', async () => {
    await ground.worker('export,convert');
    await untilStep(state, { run, machine: 'web01', step: 'convert', is: 'done' });
    const { faults, requests } = ground.sandbox;
    const disk = { run, machine: 'web01', disk: '1' };
    const held = 6;
    holdPartsAfter(ground, held);
    const victim = await ground.worker('upload', '--concurrency', '1');
    const { key } = await untilHeld(ground, { ...disk, count: held });
    await ground.worker('upload');
    const killedAt = await kill(victim);
    faults.clear();

    const sent = () => requests.storedParts(BUCKET, key);
    await until(() => sent().size > held);
    const takeoverMs = performance.now() - killedAt;
    console.log(`another worker sent a part ${(takeoverMs / 1000).toFixed(1)} s after the kill`);
    expect(takeoverMs).toBeLessThan(TAKEOVER_MS + TOLERANCE_MS);

    await untilStep(state, { run, machine: 'web01', step: 'upload/1', is: 'done' });
    const counts = [...sent()].toSorted(([a], [b]) => a - b);
    expect(counts).toEqual(Array.from({ length: NOISE_PARTS }, (_none, index) => [index + 1, 1]));
  }, 60_000);

  test('in import, before it is known that a task was made: the same task goes on', async () => {
    const { faults, requests } = ground.sandbox;
    // The work is done, and the worker never hears of it.
    faults.add({ service: 'ec2', action: 'ImportSnapshot', dropAnswer: true, times: 100 });
    const victim = await ground.worker('import');
    await until(() => requests.succeeded('ec2', 'ImportSnapshot') > 0);
    await kill(victim);
    faults.clear();
    await ground.worker('import');
    await untilStep(state, { run, machine: 'web01', step: 'import', is: 'done' });
    const { ImportSnapshotTasks: tasks = [] } = await ground.ec2.send(
      new DescribeImportSnapshotTasksCommand({
        Filters: [{ Name: 'tag:landfall:run', Values: [run] }],
      }),
    );
    expect(tasks.map(({ SnapshotTaskDetail }) => SnapshotTaskDetail?.Status)).toEqual([
      'completed',
      'completed',
    ]);
  }, 60_000);

  test('in the middle of validate: another looks at the landing, and it lands whole', async () => {
    const { faults, requests } = ground.sandbox;
    faults.add({ service: 'ec2', action: 'GetConsoleOutput', delayMs: 60_000 });
    const victim = await ground.worker('validate');
    await until(() => requests.received('ec2', 'GetConsoleOutput') > 0);
    await kill(victim);
    faults.clear();
    await ground.worker('validate,power');
    await untilRun(state, { run, is: 'landed' });
    const landed = await findLanded(ground, { run, machine: 'web01' });
    expect(await differences(ground, { landed, sources: machine.disks })).toEqual([]);
  }, 90_000);

  test('counts no kill as a failed try', async () => {
    for (const step of ['upload/1', 'import', 'validate']) {
      expect(await stepOf(state, { run, machine: 'web01', step })).toMatchObject({ try: 1, failures: 0 });
    }
    const told = await ground.landfall(['watch', run, '--json']);
    expect(told.status).toBe(0);
  }, 30_000);
});
