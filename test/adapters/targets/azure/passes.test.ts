import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { removeDisk } from '../../../../adapters/targets/azure/disk-removal.ts';
import { openPageSink } from '../../../../adapters/targets/azure/page-sink.ts';
import { runTool } from '../../../../src/processes/child.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP, pagesAt } from '../../../sandbox/azure/fixture.ts';
import { describePasses } from '../passes-contract.ts';
import {
  clearGround,
  finish,
  openSink,
  openUploadGround,
  type UploadGround,
  writeAll,
} from './upload-ground.ts';

let ground: UploadGround;
let folder: string;

beforeAll(async () => {
  ground = await openUploadGround();
  folder = await mkdtemp(join(tmpdir(), 'landfall-azure-passes-'));
}, 60_000);
afterAll(async () => {
  await ground[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => clearGround(ground));

describePasses(() => ({
  openUpload: (request, context) => openPageSink(ground.azure, request, context),
  async read({ ref: { name } }, lengthBytes) {
    const { compute } = ground.fixture;
    const read = { access: 'Read' as const, durationInSeconds: 600 };
    const { accessSAS = '' } = await compute.disks.grantAccess(GROUP, String(name), read, FAST);
    const vhd = join(folder, `${name}.vhd`);
    await pagesAt(accessSAS).downloadToFile(vhd);
    await compute.disks.revokeAccess(GROUP, String(name), FAST);
    // The footer is whole, and says how long the disk is.
    await runTool({ command: 'qemu-img', args: ['info', '-f', 'vpc', vhd] });
    return (await readFile(vhd)).subarray(0, lengthBytes);
  },
}));

const pass = (number: number, isLast: boolean) => ({ number, isLast, previous: null });

test('the disk stays open between passes, and is ended by the last', async () => {
  const state = createDurableState();
  const first = await openSink(ground, createStepContext({ state }), { pass: pass(0, false) });
  await writeAll(first);
  await finish(first);
  expect(await ground.disks()).toMatchObject([{ diskState: 'ActiveUpload' }]);
  const last = await openSink(ground, createStepContext({ state }), {
    pass: pass(1, true),
    contentId: 'c-2',
  });
  expect(last.id).toBe(first.id);
  await finish(last);
  expect(await ground.disks()).toMatchObject([{ diskState: 'Unattached' }]);
}, 30_000);

test('a later pass goes only where the one before ended, and is not begun again from another content', async () => {
  const state = createDurableState();
  const openPass = (number: number, contentId: string) =>
    openSink(ground, createStepContext({ state }), { pass: pass(number, true), contentId });
  const first = await openSink(ground, createStepContext({ state }), { pass: pass(0, false) });
  await expect(openPass(1, 'c-2')).rejects.toMatchObject({
    code: 'target-refused',
    retryable: false,
    message: expect.stringContaining('the pass before did not end'),
  });
  await writeAll(first);
  await finish(first);
  await openPass(1, 'c-2');
  await expect(openPass(1, 'c-3')).rejects.toThrow(/changed since that pass began.*landfall retry/);
  const [disk] = await ground.disks();
  const removal = { run: 'run-1', signal: AbortSignal.timeout(20_000) };
  await removeDisk(ground.azure, disk?.name ?? '', removal);
  await expect(openPass(1, 'c-2')).rejects.toThrow(/its disk was deleted/);
}, 30_000);
