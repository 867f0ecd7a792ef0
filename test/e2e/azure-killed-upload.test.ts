import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { State } from '../../src/state/state.ts';
import { type AzureGround, azureHoldings, openAzureGround, writeDemoWave } from './azure-ground.ts';
import { type Ground, MIB } from './ground.ts';
import { makeNoise } from './guest-machine.ts';
import { startRun, stepOf, untilRun, untilStep } from './run-records.ts';

const NOISE_MIB = 60;
const FOOTER_BYTES = 512;
const NOISE = {
  name: 'noise',
  from: { disks: [{ path: 'noise.raw', format: 'raw' }] },
  to: { group: 'web' },
};
/** Requests of up to 4 MiB that get through before the line is stuck: never all of the disk. */
const REQUESTS_BEFORE_KILL = 12;

let clouds: AzureGround;
let ground: Ground;
let state: State;

beforeAll(async () => {
  clouds = await openAzureGround();
  ({ ground } = clouds);
  await ground.up('--no-pools');
  state = await ground.state();
}, 90_000);
afterAll(() => clouds?.[Symbol.asyncDispose](), 60_000);

describe('an upload to Azure whose worker is killed', () => {
  let run: string;
  let disk: string;

  test('goes on in another worker, and nothing that Azure holds is sent again', async () => {
    const { faults, requests } = clouds.azure.sandbox;
    await makeNoise(join(ground.folder, 'noise.raw'), NOISE_MIB);
    const wave = await writeDemoWave(ground, {
      from: 'demo-azure.yaml',
      name: 'killed',
      sourceFolder: ground.folder,
      machines: () => [NOISE],
    });
    faults.add({
      service: 'blob',
      action: 'PutPage',
      skip: REQUESTS_BEFORE_KILL,
      times: 10_000,
      delayMs: 300_000,
    });
    run = await startRun(ground, wave);
    await ground.worker('export,convert');
    const victim = await ground.worker('upload', '--concurrency', '1');
    await vi.waitUntil(() => requests.succeeded('blob', 'PutPage') === REQUESTS_BEFORE_KILL, {
      timeout: 30_000,
      interval: 20,
    });
    [disk = ''] = (await azureHoldings(clouds.azure, run)).map((thing) => thing.replace('disk ', ''));
    const heldBytes = requests.writtenPageBytes(disk);
    expect(heldBytes).toBeLessThan(NOISE_MIB * MIB);
    await vi.waitUntil(async () => (await uploadedBytes(run)) === heldBytes, {
      timeout: 10_000,
      interval: 20,
    });
    process.kill(victim.pid, 'SIGKILL');
    await victim.exited;
    faults.clear();
    await ground.worker('upload');
    await untilStep(state, { run, machine: 'noise', step: 'upload/0', is: 'done' });
    const sentTwice = requests.writtenPageBytes(disk) - NOISE_MIB * MIB - FOOTER_BYTES;
    console.log(`${sentTwice} of ${heldBytes} bytes were sent again after the kill`);
    expect(sentTwice).toBe(0);
    expect(await stepOf(state, { run, machine: 'noise', step: 'upload/0' })).toMatchObject({ failures: 0 });
  }, 90_000);

  test('leaves nothing at Azure once it is cancelled and cleaned up', async () => {
    expect(await ground.landfall(['cancel', run])).toMatchObject({ status: 0 });
    await untilRun(state, { run, is: 'cancelled' });
    const told = await ground.landfall(['cleanup', run]);
    expect(told, told.stderr).toMatchObject({ status: 0 });
    expect(told.stdout).toContain(disk);
    expect(await azureHoldings(clouds.azure, run)).toEqual([]);
  }, 60_000);
});

async function uploadedBytes(run: string): Promise<number> {
  const progress = await state.progress.read(run);
  return progress.find(({ step }) => step === 'upload/0')?.doneBytes ?? 0;
}
