/** What is taken as evidence of an upload: a snapshot of this very disk, and a disk whose footer was acknowledged. */
import type { Disk } from '@azure/arm-compute';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Azure } from '../../../../adapters/targets/azure/clients.ts';
import { diskName, stateOf } from '../../../../adapters/targets/azure/disk.ts';
import type { LedgerEntry } from '../../../../src/domain/ports.ts';
import { createDurableState, createStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP, grantWrite } from '../../../sandbox/azure/fixture.ts';
import {
  clearGround,
  finish,
  openSink,
  openUploadGround,
  requestOf,
  type UploadGround,
  writeAll,
} from './upload-ground.ts';

let ground: UploadGround;
let azure: Azure;

beforeAll(async () => {
  ground = await openUploadGround();
  azure = { ...ground.azure, options: { ...ground.azure.options, keepSnapshots: true } };
});
afterAll(() => ground[Symbol.asyncDispose]());
beforeEach(() => clearGround(ground));

test('the snapshot of a content that changed since is taken anew, of the new disk', async () => {
  const state = createDurableState();
  const upload = async (contentId: string) => {
    const sink = await openSink({ azure }, createStepContext({ state }), { contentId });
    await writeAll(sink);
    return finish(sink);
  };
  const old = await upload('content-1');
  const anew = await upload('content-2');
  expect(anew.ref.snapshot).not.toBe(old.ref.snapshot);
  const { compute } = ground.fixture;
  const snapshots = await Array.fromAsync(compute.snapshots.listByResourceGroup(GROUP));
  expect(snapshots.map(({ name }) => name)).toEqual([anew.ref.snapshot]);
  expect(snapshots[0]?.creationData?.sourceResourceId).toBe(anew.ref.diskId);
  await compute.snapshots.delete(GROUP, String(anew.ref.snapshot), FAST);
}, 30_000);

test('a disk that ended before its footer was acknowledged is begun anew', async () => {
  const context = createStepContext();
  const sink = await openSink(ground, context);
  await writeAll(sink);
  const [entry] = await context.ledger.entries();
  await context.ledger.settle(entry as LedgerEntry, 'intended', { linearSha256: 'aa', blockCount: 1 });
  const name = diskName(entry as LedgerEntry);
  await grantWrite(ground.fixture.compute, name);
  const ended: Azure = { ...ground.azure, compute: withState(ground.azure, name) };
  const again = await openSink({ azure: ended }, context, requestOf());
  expect(again.finished).toBeNull();
  expect((await context.ledger.entries()).map(({ state }) => state)).toEqual(['failed', 'intended']);
}, 30_000);

test.each<[Partial<Disk>, string]>([
  [{ provisioningState: 'Creating' }, 'unknown'],
  [{ provisioningState: 'Failed' }, 'ended'],
  [{ provisioningState: 'Succeeded', diskState: 'ActiveUpload' }, 'open'],
  [{ provisioningState: 'Succeeded', diskState: 'Unattached' }, 'ended'],
])('a disk that is %o is %s', (disk, state) => {
  expect(stateOf({ location: 'here', ...disk } as Disk)).toBe(state);
});

/** The first look finds it as where somebody revoked the access in the meantime. */
function withState({ compute }: Azure, ended: string): Azure['compute'] {
  let isFirst = true;
  const disks = new Proxy(compute.disks, {
    get: (target, key) =>
      key === 'get'
        ? async (group: string, name: string) => {
            const disk = await target.get(group, name);
            if (name !== ended || !isFirst) return disk;
            isFirst = false;
            return { ...disk, diskState: 'Unattached' };
          }
        : Reflect.get(target, key),
  });
  return new Proxy(compute, {
    get: (target, key) => (key === 'disks' ? disks : Reflect.get(target, key)),
  });
}
