import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ComputeManagementClient } from '@azure/arm-compute';
import { DefaultAzureCredential } from '@azure/identity';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AzureSandbox } from '../../../src/sandbox/azure/server.ts';
import { FAST, GROUP, grantWrite, pagesAt, trust, uploadDisk, vhdFooter } from './fixture.ts';

const SERVER = new URL('../../../src/sandbox/azure/server.ts', import.meta.url).href;
const MIB = 1024 * 1024;
const VIRTUAL_BYTES = 20 * MIB;

let folder: string;
let child: ChildProcess | null = null;
let azurite: number | null = null;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-azure-'));
});
afterEach(async () => {
  await kill();
  await untilGone(azurite);
  await rm(folder, { recursive: true, force: true });
});

test('has every page that was acknowledged, and leaves no process', async () => {
  const first = await run();
  const { compute } = first;
  const disk = uploadDisk(first.location, VIRTUAL_BYTES + 512);
  await compute.disks.createOrUpdate(GROUP, 'killed', disk, FAST);
  const pages = pagesAt(await grantWrite(compute, 'killed'));
  for (const index of [0, 1, 5]) await pages.uploadPages(Buffer.alloc(MIB, index + 1), index * MIB, MIB);
  await kill();
  await untilGone(azurite);

  const second = await run();
  expect(await second.compute.disks.get(GROUP, 'killed')).toMatchObject({ diskState: 'ActiveUpload' });
  const again = pagesAt(await grantWrite(second.compute, 'killed'));
  const held: number[] = [];
  for await (const { start } of again.listPageRanges()) held.push(start);
  expect(held).toEqual([0, MIB, 5 * MIB]);
  expect(await again.downloadToBuffer(5 * MIB, MIB)).toEqual(Buffer.alloc(MIB, 6));
  await again.uploadPages(vhdFooter(VIRTUAL_BYTES), VIRTUAL_BYTES, 512);
  await second.compute.disks.revokeAccess(GROUP, 'killed', FAST);
  expect(await second.compute.disks.get(GROUP, 'killed')).toMatchObject({ diskState: 'Unattached' });
});

type Running = Pick<AzureSandbox, 'url' | 'subscriptionId' | 'location' | 'certificateFile' | 'environment'>;

async function run(): Promise<Running & { compute: ComputeManagementClient }> {
  const script = `
    import { startAzureSandbox } from ${JSON.stringify(SERVER)};
    const { url, subscriptionId, location, certificateFile, environment } =
      await startAzureSandbox({ folder: ${JSON.stringify(folder)}, acceleration: 'tcg' });
    console.log(JSON.stringify({ url, subscriptionId, location, certificateFile, environment }));`;
  child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  const [line] = (await once(lines, 'line')) as [string];
  const running = JSON.parse(line) as Running;
  azurite = Number(await readFile(join(folder, 'azurite', 'azurite.pid'), 'utf8'));
  await trust(running);
  Object.assign(process.env, running.environment);
  const { url: endpoint, subscriptionId } = running;
  const compute = new ComputeManagementClient(new DefaultAzureCredential(), subscriptionId, { endpoint });
  return { ...running, compute };
}

async function kill(): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  child = null;
}

async function untilGone(pid: number | null): Promise<void> {
  if (pid === null) return;
  await expect.poll(() => isAlive(pid), { timeout: 15_000 }).toBe(false);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
