import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.ts';
import { block, complete, describeSnapshot, linearOf, put, readAll, start, untilState } from './blocks.ts';

const SERVER = new URL('../../../src/sandbox/server.ts', import.meta.url).href;

let folder: string;
let child: ChildProcess | null = null;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-ebs-'));
});
afterEach(async () => {
  await kill();
  await rm(folder, { recursive: true, force: true });
});

it('has every block that was acknowledged, and goes on', async () => {
  let { ebs, ec2 } = await run();
  const id = await start(ebs, { Timeout: 4320 });
  for (const index of [0, 1, 5]) await ebs.send(put(id, index, block(index + 1)));
  await kill();
  // A record that was cut off in the middle stands for a block that was never acknowledged.
  await appendFile(join(folder, 'ec2', 'snapshots', `${id}.blocks`), Buffer.alloc(20, 1));
  ({ ebs, ec2 } = await run());
  expect(await describeSnapshot(ec2, id)).toMatchObject({ State: 'pending' });
  await ebs.send(put(id, 7, block(8)));
  const all = [0, 1, 5, 7].map((index) => [index, block(index + 1)] as const);
  await ebs.send(complete(id, 4, linearOf(all.map(([, bytes]) => bytes))));
  await untilState(ec2, id, 'completed');
  expect(await readAll(ebs, id)).toEqual(new Map(all));
});

it('completes what it was asked to complete', async () => {
  let { ebs, ec2 } = await run({ sealingMs: 60_000 });
  const parent = await start(ebs);
  await ebs.send(put(parent, 0, block(1)));
  await ebs.send(complete(parent, 1));
  await kill();
  ({ ebs, ec2 } = await run());
  await untilState(ec2, parent, 'completed');
  const id = await start(ebs, { ParentSnapshotId: parent });
  await ebs.send(put(id, 1, block(2)));
  await kill();
  ({ ebs, ec2 } = await run({ sealingMs: 60_000 }));
  await ebs.send(complete(id, 1));
  await kill();
  ({ ebs, ec2 } = await run());
  await untilState(ec2, id, 'completed');
  expect(await readAll(ebs, id)).toEqual(
    new Map([
      [0, block(1)],
      [1, block(2)],
    ]),
  );
});

/** A sandbox in a process of its own, on this folder. */
async function run(limits: { sealingMs: number } = { sealingMs: 20 }) {
  const options = JSON.stringify({ folder, limits, acceleration: 'tcg' });
  const script = `
    import { startSandbox } from '${SERVER}';
    const { url, region, credentials } = await startSandbox(${options});
    console.log(JSON.stringify({ url, region, credentials }));
  `;
  child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('the sandbox has no output');
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { url, region, credentials }: Pick<Sandbox, 'url' | 'region' | 'credentials'> = JSON.parse(
    String(line),
  );
  const config = { endpoint: url, region, credentials, maxAttempts: 1 };
  return { ebs: new EBSClient(config), ec2: new EC2Client(config) };
}

async function kill(): Promise<void> {
  if (child === null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  child = null;
}
