import { DescribeImportSnapshotTasksCommand } from '@aws-sdk/client-ec2';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import type { ToolResult } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { type Ground, linesOf, openGround } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { differences, findLanded } from './landed-disks.ts';
import { machineOf } from './run-records.ts';

let ground: Ground;
let machines: GuestMachine[];
let wave: string;
let run: string;
let state: State;
let object: { Bucket: string; Key: string };
let uploaded: Uint8Array;
let followed: ToolResult;

/** Somebody damages what was uploaded for web02 before AWS reads it. */
beforeAll(async () => {
  ground = await openGround();
  machines = [await makeMachine(ground, { name: 'web01' }), await makeMachine(ground, { name: 'web02' })];
  wave = await ground.writeWave({ name: 'mixed', machines: machines.map((each) => each.wave) });
  await ground.up('--no-pools');
  state = await ground.state();
  const follower = await ground.start(['run', wave, '--json']);
  await ground.worker('export,convert,upload');
  run = String(await vi.waitUntil(() => state.runs.ofWave('mixed'), { timeout: 15_000 }));
  const artifact = await vi.waitUntil(
    async () => (await state.machines.get(run, 'web02'))?.artifacts['0'] ?? null,
    { timeout: 60_000 },
  );
  object = { Bucket: String(artifact.ref.bucket), Key: String(artifact.ref.key) };
  const { Body } = await ground.s3.send(new GetObjectCommand(object));
  uploaded = (await Body?.transformToByteArray()) ?? new Uint8Array();
  await ground.s3.send(new PutObjectCommand({ ...object, Body: Buffer.alloc(65_536, 'no disk at all ') }));
  await ground.worker('import,validate,power');
  followed = await follower.exited;
}, 150_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

const failedMachine = (): Promise<MachineRecord> => machineOf(state, { run, machine: 'web02' });

async function tasksOfFailedMachine() {
  const Filters = [{ Name: 'tag:landfall:machine', Values: ['web02'] }];
  const { ImportSnapshotTasks = [] } = await ground.ec2.send(
    new DescribeImportSnapshotTasksCommand({ Filters }),
  );
  return ImportSnapshotTasks.map((task) => ({
    status: task.SnapshotTaskDetail?.Status,
    token: task.Tags?.find(({ Key }) => Key === 'landfall:token')?.Value,
  }));
}

describe('a wave of which one machine’s import fails', () => {
  test('lands the other, and ends with exit status 3', async () => {
    expect(followed.exitCode, followed.stderr).toBe(3);
    const last = followed.stdout.split('\n').at(-1) ?? '';
    expect(JSON.parse(last)).toEqual({ type: 'end', run, status: 'partial', exitStatus: 3 });
    expect((await machineOf(state, { run, machine: 'web01' })).status).toBe('landed');
  });

  test('says what AWS said, what it means and what to do', async () => {
    const { status, error, steps } = await failedMachine();
    expect({ status, code: error?.code }).toEqual({ status: 'failed', code: 'import-failed' });
    expect(error?.message).toMatch(/AWS said: "ClientError: .+" \w.+\./);
    // The importer would refuse the same file again: it is not asked twice.
    expect(steps.import).toMatchObject({ state: 'failed', failures: 1 });
    expect(await tasksOfFailedMachine()).toMatchObject([{ status: 'deleted' }]);
  });

  test('lands by `retry` once the cause is mended, through a new task and without a new upload', async () => {
    const { requests } = ground.sandbox;
    await ground.s3.send(new PutObjectCommand({ ...object, Body: uploaded }));
    const sent = requests.received('s3', 'UploadPart');
    expect(await ground.landfall(['retry', run, '--failed', '--json'])).toMatchObject({ status: 0 });
    const told = await ground.landfall(['run', wave, '--json']);
    expect(told, told.stderr).toMatchObject({ status: 0 });
    expect(linesOf(told).at(-1)).toMatchObject({ run, status: 'landed' });

    expect(requests.received('s3', 'UploadPart')).toBe(sent);
    const tasks = await tasksOfFailedMachine();
    expect(tasks.map(({ status }) => status).toSorted()).toEqual(['completed', 'deleted']);
    expect(new Set(tasks.map(({ token }) => token)).size).toBe(2);
    for (const [index, { disks }] of machines.entries()) {
      const landed = await findLanded(ground, { run, machine: `web0${index + 1}` });
      expect(await differences(ground, { landed, sources: disks })).toEqual([]);
    }
  }, 120_000);
});
