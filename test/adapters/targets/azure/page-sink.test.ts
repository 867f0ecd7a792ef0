import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { discardDisk, listTaggedDisks, removeDisk } from '../../../../adapters/targets/azure/disk-removal.ts';
import { BLOCK_BYTES } from '../../../../src/blocks/stream-encoder.ts';
import { vhdDiskBytes } from '../../../../src/images/vhd-footer.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP, uploadDisk } from '../../../sandbox/azure/fixture.ts';
import { machineWith } from '../machines.ts';
import {
  BLOCKS,
  clearGround,
  DISK_BYTES,
  finish,
  MIB,
  openSink,
  openUploadGround,
  soon,
  type UploadGround,
  write,
  writeAll,
} from './upload-ground.ts';

const ALL = [...BLOCKS.keys()];
const HALF = ALL.slice(0, 7);
const REST = ALL.slice(7);

let ground: UploadGround;

beforeAll(async () => {
  ground = await openUploadGround();
});

afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

beforeEach(() => clearGround(ground));

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
      bytes: BLOCKS.size * BLOCK_BYTES,
      ref: { diskId: disk?.id, name: disk?.name },
    });
    const { virtualBytes, heldBytes } = await ground.expectIdentical();
    expect(virtualBytes).toBe(vhdDiskBytes(DISK_BYTES));
    expect(heldBytes).toBe(BLOCKS.size * BLOCK_BYTES + 512);
    expect(await finish(sink)).toEqual(artifact);
    expect(context.logs.map(({ message }) => message).join()).toMatch(/checked by CRC64/);
  });

  test('goes in few requests where blocks lie side by side, each page once', async () => {
    const sink = await openSink(ground);
    await writeAll(sink);
    const name = String((await ground.disks())[0]?.name);
    const requests = [...ground.fixture.sandbox.requests.writtenPages(name).values()];
    expect(requests.length).toBeLessThan(BLOCKS.size);
    expect(requests.every((times) => times === 1)).toBe(true);
  });

  test('goes on where another worker was killed, and sends nothing again that Azure holds', async () => {
    const state = createDurableState();
    const first = await openSink(ground, createStepContext({ state }));
    await writeAll(first, HALF);
    const second = await openSink(ground, createStepContext({ state }));
    expect(second.id).toBe(first.id);
    expect(ALL.filter((index) => second.isHeld?.(index))).toEqual(HALF);
    expect([10, 19, 33].some((index) => second.isHeld?.(index))).toBe(false);
    await writeAll(second, REST);
    await finish(second);
    await ground.expectIdentical();
    expect(await ground.disks()).toHaveLength(1);
    const third = await openSink(ground, createStepContext({ state }));
    expect(third.finished).toMatchObject({ ref: { name: (await ground.disks())[0]?.name } });
  });

  test('is made once, whichever note its worker is killed before', async () => {
    const state = createDurableState();
    const met = new Set<string>();
    const onLedger = ({ step, state: to }: { step: string; state: string }): void => {
      const note = `${step} ${to} ${met.size}`;
      if (met.size < 5 && !met.has(note)) {
        met.add(note);
        throw new Error('killed');
      }
    };
    for (;;) {
      try {
        const sink = await openSink(ground, createStepContext({ state, onLedger }));
        if (sink.finished === null) {
          await writeAll(sink);
          await finish(sink);
        }
        break;
      } catch (error) {
        if ((error as Error).message !== 'killed') throw error;
      }
    }
    expect(met.size).toBe(5);
    expect(await ground.disks()).toHaveLength(1);
    await ground.expectIdentical();
  });

  test('begins anew from another content, and leaves nothing of the old', async () => {
    const state = createDurableState();
    const old = await openSink(ground, createStepContext({ state }));
    await writeAll(old, HALF);
    const changed = await openSink(ground, createStepContext({ state }), { contentId: 'content-2' });
    expect(changed.id).not.toBe(old.id);
    expect(ALL.some((index) => changed.isHeld?.(index))).toBe(false);
    expect(await ground.disks()).toHaveLength(1);
  });

  test('begins anew where somebody deleted the disk', async () => {
    const state = createDurableState();
    const old = await openSink(ground, createStepContext({ state }));
    await writeAll(old, HALF);
    const [disk] = await ground.disks();
    await removeDisk(ground.azure, String(disk?.name), { run: 'run-1', signal: soon() });
    const context = createStepContext({ state });
    const again = await openSink(ground, context);
    expect(again.id).not.toBe(old.id);
    expect(context.logs.map(({ message }) => message).join()).toMatch(/was deleted: it starts again/);
  });

  test('a write into a deleted disk is told as what the next try mends', async () => {
    const sink = await openSink(ground);
    await write(sink, 0);
    const [disk] = await ground.disks();
    await removeDisk(ground.azure, String(disk?.name), { run: 'run-1', signal: soon() });
    await expect(write(sink, 1)).rejects.toMatchObject({
      code: 'target-missing',
      message: expect.stringMatching(/disk/),
    });
  });

  test('a zombie writes nothing after its lease is lost, and ends nothing', async () => {
    const state = createDurableState();
    const lease = new AbortController();
    const context = createStepContext({ state, signal: lease.signal });
    const zombie = await openSink(ground, context);
    await writeAll(zombie);
    const successor = await openSink(ground, createStepContext({ state }));
    context.loseLease();
    await expect(finish(zombie)).rejects.toMatchObject({ code: 'lease-lost' });
    expect((await ground.disks())[0]?.diskState).toBe('ActiveUpload');
    lease.abort();
    await expect(write(zombie, 0)).rejects.toMatchObject({ code: 'cancelled' });
    await finish(successor);
    await ground.expectIdentical();
  });

  test('is not finished while Azure does not hold all of it', async () => {
    const sink = await openSink(ground);
    await writeAll(sink, REST);
    await expect(finish(sink)).rejects.toMatchObject({
      code: 'target-refused',
      retryable: true,
      message: expect.stringContaining(`${REST.length} blocks where ${ALL.length} were sent`),
    });
    await writeAll(sink, HALF);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('is not finished where somebody else wrote into it', async () => {
    const sink = await openSink(ground);
    await writeAll(sink);
    const stranger = await ground.stranger();
    await stranger.uploadPages(Buffer.alloc(512, 1), 12 * BLOCK_BYTES + 512, 512);
    await expect(finish(sink)).rejects.toMatchObject({ code: 'target-refused', retryable: false });
  });

  test('takes a block twice, and at once', async () => {
    const sink = await openSink(ground);
    await writeAll(sink, [...ALL, ...ALL]);
    await finish(sink);
    await ground.expectIdentical();
  });

  test('ends soon after its signal aborts', async () => {
    const sink = await openSink(ground);
    ground.fixture.sandbox.faults.add({ service: 'blob', action: 'PutPage', delayMs: 20_000, times: 100 });
    const stop = new AbortController();
    const writes = ALL.map((index) => write(sink, index, stop.signal));
    const outcomes = Promise.allSettled(writes);
    setTimeout(() => stop.abort(), 50);
    const began = performance.now();
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'cancelled' } });
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('the disk that is made', () => {
  test('is of generation 2 for UEFI, and has neither generation nor system where it boots nothing', async () => {
    const machine = machineWith({ firmware: 'uefi', diskCount: 2, os: 'windows2019srv_64Guest' });
    await openSink(ground, createStepContext(), { machine });
    await openSink(ground, createStepContext(), { machine, disk: '1' });
    const [boot, data] = (await ground.disks()).sort((a, b) => String(a.name).localeCompare(String(b.name)));
    expect(boot).toMatchObject({ osType: 'Windows', hyperVGeneration: 'V2' });
    expect(data?.osType).toBeUndefined();
  });

  test('has 20 MiB at least, which is what Azure asks for', async () => {
    const sink = await openSink(ground, createStepContext(), { diskBytes: 4 * MIB });
    await writeAll(sink, HALF);
    const blockCount = HALF.length;
    await sink.finish({ blockCount, linearSha256: Buffer.alloc(32) });
    expect((await ground.disks())[0]?.diskSizeBytes).toBe(20 * MIB);
  });

  test("is refused where its name is somebody else's, and that one is not touched", async () => {
    const context = createStepContext();
    await openSink(ground, context);
    const [mine] = await ground.disks();
    const name = String(mine?.name);
    await removeDisk(ground.azure, name, { run: 'run-1', signal: soon() });
    const { compute, sandbox } = ground.fixture;
    for (const [uploadBytes, tags, complaint] of [
      [64 * MIB + 512, mine?.tags ?? {}, /was made for an upload of 67109376 bytes instead of/],
      [vhdDiskBytes(DISK_BYTES) + 512, { owner: 'them' }, /does not carry the tag landfall-token/],
    ] as const) {
      const disk = { ...uploadDisk(sandbox.location, uploadBytes), tags };
      await compute.disks.createOrUpdate(GROUP, name, disk, FAST);
      const opening = openSink(ground, createStepContext({ state: context.state }));
      await expect(opening).rejects.toMatchObject({
        code: 'target-refused',
        message: expect.stringMatching(complaint),
      });
      expect(await compute.disks.get(GROUP, name)).toMatchObject({ diskState: 'ReadyToUpload', tags });
      await compute.disks.delete(GROUP, name, FAST);
    }
  });
});

describe('removal', () => {
  test('discards a disk under upload and one that was finished, and lists what is left', async () => {
    const [open, done] = [createStepContext({ machine: 'open' }), createStepContext({ machine: 'done' })];
    await writeAll(await openSink(ground, open), HALF);
    const sink = await openSink(ground, done);
    await writeAll(sink);
    await finish(sink);
    const removal = { run: 'run-1', signal: soon() };
    const things = await listTaggedDisks(ground.azure, removal);
    expect(things.map(({ machine }) => machine).sort()).toEqual(['done', 'open']);
    for (const { ledger } of [open, done])
      for (const entry of await ledger.entries()) await discardDisk(ground.azure, entry, removal);
    expect(await listTaggedDisks(ground.azure, removal)).toEqual([]);
    expect(await ground.disks()).toEqual([]);
  });

  test('leaves alone what another run made', async () => {
    await openSink(ground);
    const [disk] = await ground.disks();
    const removal = removeDisk(ground.azure, String(disk?.name), { run: 'run-2', signal: soon() });
    await expect(removal).rejects.toMatchObject({
      code: 'target-refused',
      message: expect.stringMatching(/run-2/),
    });
    expect(await ground.disks()).toHaveLength(1);
  });
});
