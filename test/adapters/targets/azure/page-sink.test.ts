import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { removeDisk } from '../../../../adapters/targets/azure/disk-removal.ts';
import { vhdDiskBytes } from '../../../../src/images/vhd-footer.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP, uploadDisk } from '../../../sandbox/azure/fixture.ts';
import {
  BLOCKS,
  DISK_BYTES,
  finish,
  MIB,
  openSink,
  openUploadGround,
  requestOf,
  soon,
  type UploadGround,
  write,
  writeAll,
} from './upload-ground.ts';

let ground: UploadGround;

beforeAll(async () => {
  ground = await openUploadGround();
});

afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

beforeEach(async () => {
  ground.fixture.sandbox.faults.clear();
  ground.fixture.sandbox.rights.reset();
  for (const { name = '', tags } of await ground.disks()) {
    const run = tags?.['landfall-run'];
    if (run === undefined) await ground.fixture.compute.disks.delete(GROUP, name, FAST);
    else await removeDisk(ground.azure, name, { run, signal: soon() });
  }
  ground.fixture.sandbox.requests.clear?.();
});

describe('a disk on its way into a managed disk', () => {
  test('arrives whole, in a VHD of exactly its size, and zeros are not sent', async () => {
    const context = createStepContext();
    const sink = await openSink(ground, context);
    expect(sink.finished).toBeNull();
    await writeAll(sink);
    const artifact = await finish(sink);
    const [disk] = await ground.disks();
    expect(disk).toMatchObject({
      diskState: 'Unattached',
      osType: 'Linux',
      hyperVGeneration: 'V1',
      sku: { name: 'Standard_LRS' },
      tags: { 'landfall-run': 'run-1', 'landfall-machine': 'web01' },
    });
    expect(artifact).toMatchObject({
      kind: 'azure-disk',
      container: null,
      bytes: BLOCKS.size * 512 * 1024,
      ref: { diskId: disk?.id, name: disk?.name },
    });
    const { virtualBytes, heldPages } = await ground.expectIdentical();
    expect(virtualBytes).toBe(vhdDiskBytes(DISK_BYTES));
    expect(heldPages).toBe(BLOCKS.size * 512 * 1024 + 512);
    expect(context.logs.map(({ message }) => message).join()).toMatch(/checked by CRC64/);
  });
});
