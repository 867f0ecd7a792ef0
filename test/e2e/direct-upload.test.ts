import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { RunningTool } from '../../src/processes/child.ts';
import type { State } from '../../src/state/state.ts';
import { type Ground, linesOf, MIB, openGround } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { differences, findLanded } from './landed-disks.ts';
import { stepOf, untilRun, untilStep } from './run-records.ts';

const BLOCK_BYTES = 512 * 1024;
const NOISE_MIB = 60;
const NOISE_BLOCKS = (NOISE_MIB * MIB) / BLOCK_BYTES;
/** What may be sent again after a kill: 64 blocks under way, and what was acknowledged since the last save, 0.1 s ago. */
const WINDOW_BLOCKS = 64 + 8;
const RATE = '20MB/s';

let ground: Ground;
let machine: GuestMachine;
let state: State;
let run: string;
/** Spools while it is held back: nothing else makes the copying of 60 MiB last. */
let spooler: HeldBack;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01', noiseMib: NOISE_MIB });
  const wave = await ground.writeWave({
    name: 'direct',
    machines: [{ ...machine.wave, to: { via: 'ebs-direct' }, export: 'spool' }],
    limits: { bandwidth: RATE },
  });
  await ground.up('--no-pools');
  state = await ground.state();
  spooler = holdBack(await ground.worker('export,convert'));
  const told = await ground.landfall(['run', wave, '--detach', '--json']);
  expect(told, told.stderr).toMatchObject({ status: 0 });
  run = (JSON.parse(told.stdout) as { run: string }).run;
}, 90_000);
afterAll(async () => {
  spooler?.[Symbol.dispose]();
  await ground?.[Symbol.asyncDispose]();
}, 60_000);

type HeldBack = Disposable & { tool: RunningTool };

/** It works for a tenth of the time: its timers and leases hold, and it can be killed at half. */
function holdBack(tool: RunningTool): HeldBack {
  let isHeldBack = true;
  const tell = (signal: NodeJS.Signals): void => {
    if (isHeldBack) process.kill(tool.pid, signal);
  };
  const never = new Int32Array(new SharedArrayBuffer(4));
  const timer = setInterval(() => {
    tell('SIGCONT');
    // Not by a timer: while this process does other things, the worker would be done.
    Atomics.wait(never, 0, 0, 10);
    tell('SIGSTOP');
  }, 100);
  const letGo = (): void => {
    tell('SIGCONT');
    isHeldBack = false;
    clearInterval(timer);
  };
  void tool.exited.then(() => {
    isHeldBack = false;
    clearInterval(timer);
  });
  return { tool, [Symbol.dispose]: letGo };
}

/** One machine that is spooled and written into EBS snapshots, through kills: the tests follow it. */
describe('a machine that goes block by block', () => {
  test('is spooled inside its disk by another worker when one is killed', async () => {
    const { tool: victim } = spooler;
    const spooled = async (): Promise<number> => {
      const progress = await state.progress.read(run);
      return progress.find(({ step }) => step === 'export/1')?.doneBytes ?? 0;
    };
    await vi.waitUntil(async () => (await spooled()) > 15 * MIB, { timeout: 60_000, interval: 20 });
    spooler[Symbol.dispose]();
    process.kill(victim.pid, 'SIGKILL');
    await victim.exited;
    const before = await spooled();
    expect(before).toBeLessThan(NOISE_MIB * MIB);
    await ground.worker('export,convert');
    await untilStep(state, { run, machine: 'web01', step: 'convert', is: 'done' });
    expect(await spooled()).toBe(NOISE_MIB * MIB);
    const { stdout } = await ground.landfall(['logs', run, 'web01']);
    const [, goneOnAt] = /Spooling of disk 1 goes on: (\S+) MiB of it are in staging/.exec(stdout) ?? [];
    expect(Number(goneOnAt), stdout).toBeGreaterThan(before / MIB - 8);
  }, 120_000);

  test('is uploaded by another worker when one is killed, and hardly a block goes twice', async () => {
    const { requests } = ground.sandbox;
    const victim = await ground.worker('upload', '--concurrency', '1');
    const snapshot = await vi.waitUntil(() => findSnapshot('1'), { timeout: 30_000, interval: 50 });
    await vi.waitUntil(() => requests.storedBlocks(snapshot).size > NOISE_BLOCKS / 3, {
      timeout: 30_000,
      interval: 10,
    });
    process.kill(victim.pid, 'SIGKILL');
    await victim.exited;
    const held = requests.storedBlocks(snapshot).size;
    expect(held).toBeLessThan(NOISE_BLOCKS);
    await ground.landfall(['limit', run, 'none']);
    await ground.worker('upload');
    await untilStep(state, { run, machine: 'web01', step: 'upload/1', is: 'done' });
    const counts = [...requests.storedBlocks(snapshot).values()];
    expect(counts).toHaveLength(NOISE_BLOCKS);
    const again = counts.reduce((sum, count) => sum + count - 1, 0);
    console.log(`${again} of ${held} blocks were sent again after the kill`);
    expect(again).toBeLessThanOrEqual(WINDOW_BLOCKS);
    expect(await stepOf(state, { run, machine: 'web01', step: 'upload/1' })).toMatchObject({ failures: 0 });
  }, 120_000);

  test('lands whole, and `verify` reads it back and says so', async () => {
    await ground.worker('import,validate,power');
    await untilRun(state, { run, is: 'landed' });
    const landed = await findLanded(ground, { run, machine: 'web01' });
    expect(await differences(ground, { landed, sources: machine.disks })).toEqual([]);
    const told = await ground.landfall(['verify', run]);
    expect(told, told.stderr).toMatchObject({ status: 0 });
    expect(told.stdout).toMatch(/web01 disk 1: the same, 60 MiB read back and compared/);
  }, 120_000);

  test('is told by disk and offset where a byte of what landed differs', async () => {
    const { snapshotIds } = await findLanded(ground, { run, machine: 'web01' });
    const offset = 33 * BLOCK_BYTES;
    await flipByte(
      join(ground.folder, 'sandbox', 'ec2', 'snapshots', `${snapshotIds[1]}.raw`),
      offset + 4_711,
    );
    const told = await ground.landfall(['verify', run, '--json']);
    expect(told.status).toBe(1);
    const [verdicts] = linesOf(told) as unknown as [unknown[]];
    expect(verdicts).toMatchObject([
      { disk: '0', state: 'same' },
      { disk: '1', state: 'differs', differingBlocks: 1, differingOffsets: [offset] },
    ]);
  }, 60_000);
});

/** The snapshot that a disk is written into; null while there is none. */
async function findSnapshot(disk: string): Promise<string | null> {
  const Filters = [
    { Name: 'tag:landfall:run', Values: [run] },
    { Name: 'tag:Name', Values: [`web01 disk ${disk}`] },
  ];
  const { Snapshots = [] } = await ground.ec2.send(
    new DescribeSnapshotsCommand({ OwnerIds: ['self'], Filters }),
  );
  return Snapshots[0]?.SnapshotId ?? null;
}

async function flipByte(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
}
