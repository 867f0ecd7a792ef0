/** What is removed, and what is left alone. That all of a landing goes, twice, is the contract's. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { discardEntry } from '../../../../adapters/targets/azure/discard.ts';
import { findTagged, removeTagged } from '../../../../adapters/targets/azure/leftovers.ts';
import { quarantineName } from '../../../../adapters/targets/azure/names.ts';
import { openPageSink } from '../../../../adapters/targets/azure/page-sink.ts';
import { BLOCK_BYTES } from '../../../../src/blocks/stream-encoder.ts';
import type { LedgerEntry } from '../../../../src/domain/ports.ts';
import { createDurableState, type DurableState, type FakeStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP, pagesAt } from '../../../sandbox/azure/fixture.ts';
import { machineWith } from '../machines.ts';
import { attemptOf, type MachineGround, openMachineGround } from './machine-ground.ts';

const RUN = 'discarded';
const SHUTDOWN_MS = 15_000;

let ground: MachineGround;
let state: DurableState;

beforeAll(async () => {
  ground = await openMachineGround({ limits: { guestMemoryMib: 128, shutdownMs: SHUTDOWN_MS } });
}, 60_000);
beforeEach(() => {
  state = createDurableState();
});
afterEach(async () => {
  ground.fixture.sandbox.faults.clear();
  ground.fixture.sandbox.rights.reset();
  await ground.removeAll(RUN);
}, 60_000);
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

const attempt = (): FakeStepContext => attemptOf(RUN, state);
const entryOf = async (thing: string): Promise<LedgerEntry> => {
  const entry = (await attempt().ledger.entries()).findLast((each) => each.thing === thing);
  if (entry === undefined) throw new Error(`nothing notes ${thing}`);
  return entry;
};

describe('a landing', () => {
  test('goes at once, whether or not its guest shuts down', async () => {
    await ground.land(await ground.prepare(attempt(), {}), attempt());
    const startedAt = performance.now();
    await ground.discardAll(attempt());
    expect(performance.now() - startedAt).toBeLessThan(SHUTDOWN_MS / 2);
    expect(await ground.kinds(RUN)).toEqual([]);
    expect(state.ledger.every((entry) => entry.state === 'discarded')).toBe(true);
  }, 60_000);

  test('keeps its disks while its machine is there: newest first is the order', async () => {
    await ground.land(await ground.prepare(attempt(), {}), attempt());
    await expect(discardEntry(ground.azure, await entryOf('disk:0'), attempt())).rejects.toMatchObject({
      message: expect.stringContaining('is attached to VM'),
    });
    expect((await entryOf('disk:0')).state).toBe('done');
    await ground.discardAll(attempt());
  }, 60_000);

  test('is removed by its tags as far as it came, in an order in which nothing is in use', async () => {
    await ground.land(await ground.prepare(attempt(), { traits: { diskCount: 2 } }), attempt());
    expect(await ground.kinds(RUN)).toEqual([
      'virtual-machine',
      'network-interface',
      'disk',
      'disk',
      'security-group',
    ]);
    await ground.removeAll(RUN);
    expect(await ground.kinds(RUN)).toEqual([]);
  }, 60_000);
});

describe('an upload that is under way', () => {
  test('goes with the signatures of whoever still writes', async () => {
    const machine = machineWith();
    const request = {
      machine,
      disk: '0',
      diskBytes: 20 * 2 ** 20,
      to: {},
      form: { kind: 'blocks' as const, blockBytes: BLOCK_BYTES },
      contentId: 'content-1',
      maxFileBytes: 0,
    };
    const sink = await openPageSink(ground.azure, request, attempt());
    const bytes = Buffer.alloc(BLOCK_BYTES, 7);
    await sink.writeBlock({ index: 0, bytes, sha256: Buffer.alloc(32) }, AbortSignal.timeout(20_000));
    const [disk] = await Array.fromAsync(ground.fixture.compute.disks.listByResourceGroup(GROUP));
    expect(disk?.diskState).toBe('ActiveUpload');
    const access = { access: 'Write' as const, durationInSeconds: 600 };
    const name = String(disk?.name);
    const { accessSAS = '' } = await ground.fixture.compute.disks.grantAccess(GROUP, name, access, FAST);
    await ground.discardAll(attempt());
    expect(await ground.kinds(RUN)).toEqual([]);
    await expect(pagesAt(accessSAS).uploadPages(bytes, 0, bytes.length)).rejects.toMatchObject({
      statusCode: expect.toSatisfy((status: number) => status === 403 || status === 404),
    });
  }, 60_000);
});

describe('without our tag', () => {
  test('a machine, an interface, a disk and a group stay, and are told as left alone', async () => {
    const landing = await ground.land(await ground.prepare(attempt(), {}), attempt());
    const signal = AbortSignal.timeout(30_000);
    const things = await findTagged(ground.azure, RUN, signal);
    await using _untagged = await stripTags(String(landing.ref.networkInterface));
    for (const thing of things) {
      await expect(removeTagged(ground.azure, thing, { run: RUN, signal }), thing.kind).rejects.toMatchObject(
        {
          code: 'target-refused',
          message: expect.stringContaining('alone: it does not carry the tag of run discarded'),
        },
      );
    }
    for (const entry of (await attempt().ledger.entries()).reverse())
      await expect(discardEntry(ground.azure, entry, attempt()), entry.thing).rejects.toMatchObject({
        code: 'target-refused',
        message: expect.stringContaining('alone: it does not carry the tag of run discarded'),
      });
    expect(state.ledger.some((entry) => entry.state === 'discarded')).toBe(false);
    expect((await ground.observe(landing, attempt())).state).toBe('running');
  }, 60_000);
});

describe('Resource Manager', () => {
  test('whose resource group is away holds nothing any more', async () => {
    const azure = ground.azureWith({ resourceGroup: 'removed-meanwhile' });
    expect(await findTagged(azure, RUN, AbortSignal.timeout(30_000))).toEqual([]);
  });

  test('that denies a removal is told with the action, and the entry stays', async () => {
    await ground.prepare(attempt(), {});
    ground.fixture.sandbox.rights.deny('Microsoft.Compute/disks/delete');
    await expect(ground.discardAll(attempt())).rejects.toMatchObject({
      code: 'target-denied',
      message: expect.stringContaining('Grant Microsoft.Compute/disks/delete on disk web01-disk-0'),
    });
    expect((await entryOf('disk:0')).state).toBe('done');
  });

  test.each([
    ['429', { status: 429, code: 'TooManyRequests', retryAfterSeconds: 1 }],
    ['503', { status: 503, code: 'ServiceUnavailable' }],
  ])('that answers a removal with %s is asked again', async (_, error) => {
    await ground.prepare(attempt(), {});
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'Disks_Delete', error });
    await ground.discardAll(attempt());
    expect(await ground.kinds(RUN)).toEqual([]);
  });

  test('that loses its answer to a removal has removed', async () => {
    await ground.prepare(attempt(), {});
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'Disks_Delete', dropAnswer: true });
    await ground.discardAll(attempt());
    expect(await ground.kinds(RUN)).toEqual([]);
  });

  test('whose removal fails late is told, and the next try removes', async () => {
    await ground.prepare(attempt(), {});
    const error = { status: 500, code: 'InternalExecutionError', isLate: true };
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'VirtualMachines_Delete', error });
    await ground.land(await ground.prepare(attempt(), {}), attempt());
    await expect(ground.discardAll(attempt())).rejects.toMatchObject({
      code: 'target-unavailable',
      retryable: true,
    });
    await ground.discardAll(attempt());
    expect(await ground.kinds(RUN)).toEqual([]);
  }, 60_000);
});

/** As somebody does who tidies up. */
async function stripTags(networkInterface: string): Promise<AsyncDisposable> {
  const { compute, network } = ground.fixture;
  const vm = await compute.virtualMachines.get(GROUP, 'web01');
  const nic = await network.networkInterfaces.get(GROUP, networkInterface);
  const diskNames = [vm.storageProfile?.osDisk?.name as string];
  const disks = await Promise.all(diskNames.map((name) => compute.disks.get(GROUP, name)));
  const groupName = quarantineName(RUN);
  const group = await network.networkSecurityGroups.get(GROUP, groupName);
  const tag = async (isOurs: boolean): Promise<void> => {
    const tagsOf = ({ tags = {} }: { tags?: Record<string, string> }) => (isOurs ? tags : {});
    await compute.virtualMachines.update(GROUP, 'web01', { tags: tagsOf(vm) }, FAST);
    await network.networkInterfaces.createOrUpdate(
      GROUP,
      networkInterface,
      { ...nic, tags: tagsOf(nic) },
      FAST,
    );
    for (const disk of disks)
      await compute.disks.update(GROUP, disk.name as string, { tags: tagsOf(disk) }, FAST);
    const { securityRules = [], location = '' } = group;
    const rules = securityRules.map(({ id: _, etag: __, type: ___, ...rule }) => rule);
    const changed = { location, tags: tagsOf(group), securityRules: rules };
    await network.networkSecurityGroups.createOrUpdate(GROUP, groupName, changed, FAST);
  };
  await tag(false);
  return { [Symbol.asyncDispose]: () => tag(true) };
}
