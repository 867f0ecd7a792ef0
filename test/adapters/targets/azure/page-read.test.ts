/** Snapshots are played by the disk itself, which nobody has attached yet: it holds what a snapshot of it would. */
import type { ComputeManagementClient, Snapshot } from '@azure/arm-compute';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Azure } from '../../../../adapters/targets/azure/clients.ts';
import { discardEntry } from '../../../../adapters/targets/azure/discard.ts';
import { findTagged, removeTagged } from '../../../../adapters/targets/azure/leftovers.ts';
import { openLandedDisk } from '../../../../adapters/targets/azure/page-read.ts';
import type { LandedDisk } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import { machineWith } from '../machines.ts';
import {
  BLOCKS,
  finish,
  openSink,
  openUploadGround,
  soon,
  type UploadGround,
  writeAll,
} from './upload-ground.ts';

let ground: UploadGround;
let azure: Azure;
const snapshots = new Map<string, Snapshot>();
const state = createDurableState();
let aheadMs = 0;

beforeAll(async () => {
  ground = await openUploadGround({ now: () => Date.now() + aheadMs });
  azure = {
    ...ground.azure,
    options: { ...ground.azure.options, keepSnapshots: true },
    compute: withSnapshots(ground.azure.compute),
  };
});

afterAll(async () => {
  await ground[Symbol.asyncDispose]();
});

test('a snapshot is taken once, whichever note its worker is killed before, and is read back as what was sent', async () => {
  let deaths = 0;
  const onLedger = ({ thing }: { thing: string }): void => {
    if (!thing.startsWith('snapshot') || deaths >= 2) return;
    deaths += 1;
    throw new Error('killed');
  };
  const attempt = async () => {
    const sink = await openSink({ azure }, createStepContext({ state, onLedger }));
    if (sink.finished !== null) return sink.finished;
    await writeAll(sink);
    return finish(sink);
  };
  await expect(attempt()).rejects.toThrow('killed');
  await expect(attempt()).rejects.toThrow('killed');
  const artifact = await attempt();
  expect([...snapshots.keys()]).toEqual([artifact.ref.snapshot]);
  expect(snapshots.get(String(artifact.ref.snapshot))).toMatchObject({
    incremental: true,
    tags: { 'landfall-run': 'run-1' },
    creationData: { createOption: 'Copy', sourceResourceId: artifact.ref.diskId },
  });

  await using disk = (await open({ '0': String(artifact.ref.snapshot) })) as LandedDisk;
  expect(await Array.fromAsync(disk.heldBlocks(soon()))).toEqual([...BLOCKS.keys()]);
  for (const [index, bytes] of BLOCKS) {
    // Its signature expires half-way.
    if (index === 20) aheadMs = 5 * 3_600_000;
    expect(bytes.equals(await disk.readBlock(index, soon()))).toBe(true);
  }
  expect(Buffer.alloc(512 * 1024).equals(await disk.readBlock(12, soon()))).toBe(true);
});

test('without snapshots there is nothing to compare, and it is said what to set', async () => {
  await expect(open()).rejects.toMatchObject({
    code: 'target-missing',
    message: expect.stringContaining('keepSnapshots: true'),
  });
});

test('what was made is found by its tag, left alone by another run, and discarded', async () => {
  const things = await findTagged(azure, 'run-1', soon());
  expect(things.map(({ kind }) => kind)).toEqual(['disk', 'snapshot']);
  for (const thing of things) {
    const removal = removeTagged(azure, thing, { run: 'run-2', signal: soon() });
    await expect(removal).rejects.toMatchObject({ message: expect.stringContaining('run-2') });
  }
  const context = createStepContext({ state });
  for (const entry of (await context.ledger.entries()).reverse()) await discardEntry(azure, entry, context);
  expect(await findTagged(azure, 'run-1', soon())).toEqual([]);
});

function open(snapshotNames?: Record<string, string>): Promise<LandedDisk | null> {
  const ref = snapshotNames === undefined ? {} : { snapshots: snapshotNames };
  const landing = { kind: 'azure-vm', id: 'web01', ref };
  return openLandedDisk(azure, { landing, machine: machineWith(), disk: '0' }, soon());
}

function withSnapshots(compute: ComputeManagementClient): ComputeManagementClient {
  const missing = (): Error =>
    Object.assign(new Error('The Resource was not found.'), { code: 'ResourceNotFound', statusCode: 404 });
  const diskOf = (name: string): string =>
    snapshots.get(name)?.creationData?.sourceResourceId?.split('/').at(-1) ?? '';
  const ended = <T>(work: () => T) => ({ pollUntilDone: async () => work() });
  const played = {
    async get(_: string, name: string) {
      const found = snapshots.get(name);
      if (found === undefined) throw missing();
      return found;
    },
    createOrUpdate: (_: string, name: string, snapshot: Snapshot) =>
      ended(() => {
        snapshots.set(name, { ...snapshot, name, provisioningState: 'Succeeded' } as Snapshot);
        return snapshots.get(name);
      }),
    async *listByResourceGroup() {
      yield* snapshots.values();
    },
    delete: (_: string, name: string) => ended(() => snapshots.delete(name)),
    grantAccess: (_: string, name: string, wanted: { access: 'Read'; durationInSeconds: number }) =>
      compute.disks.grantAccess(GROUP, diskOf(name), wanted, FAST),
    revokeAccess: (_: string, name: string) => compute.disks.revokeAccess(GROUP, diskOf(name), FAST),
  };
  const { disks, virtualMachines } = compute;
  return { disks, virtualMachines, snapshots: played } as unknown as ComputeManagementClient;
}
