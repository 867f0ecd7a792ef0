/** How a machine is made, and what stands in its way. Deaths at each write to the ledger are the contract's. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ENCRYPTION_ACTIONS,
  GROUP_ACTIONS,
  LANDING_ACTIONS,
  OPERATION_ACTIONS,
  SNAPSHOT_ACTIONS,
  SUBNET_ACTIONS,
} from '../../../../adapters/targets/azure/role.ts';
import { createDurableState, type FakeStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import { untilDone } from '../drive-target.ts';
import { attemptOf, type ImportWork, type MachineGround, openMachineGround } from './machine-ground.ts';

const GIB = 2 ** 30;

let ground: MachineGround;

beforeAll(async () => {
  ground = await openMachineGround({ limits: { guestMemoryMib: 128 } });
}, 60_000);
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

async function onlyMachine() {
  return ground.fixture.compute.virtualMachines.get(GROUP, 'web01');
}

describe('a machine', () => {
  test('boots from the disk that boots, has the others in their order, its size, its address and its tags', async () => {
    const traits = { diskCount: 3, bootDisk: '1', cpus: 2, memoryBytes: 6 * GIB };
    const to = { privateIp: '10.20.0.9', tags: { owner: 'shop' }, zone: '2' };
    await ground.inRun('shape', { traits, to }, async (work, attempt) => {
      const landing = await ground.land(work, attempt());
      const machine = await onlyMachine();
      expect(machine).toMatchObject({
        zones: ['2'],
        tags: { owner: 'shop', 'landfall-run': 'shape', 'landfall-machine': 'web01' },
        hardwareProfile: { vmSize: 'Standard_B2ms' },
        diagnosticsProfile: { bootDiagnostics: { enabled: true } },
        storageProfile: {
          osDisk: { osType: 'Linux', deleteOption: 'Detach' },
          dataDisks: [
            { lun: 0, deleteOption: 'Detach' },
            { lun: 1, deleteOption: 'Detach' },
          ],
        },
      });
      expect(machine.securityProfile).toBeUndefined();
      const { osDisk, dataDisks = [] } = machine.storageProfile ?? {};
      const names = [osDisk, ...dataDisks].map((disk) => disk?.name?.replace(/-[0-9a-f]{32}$/, ''));
      expect(names).toEqual(['web01-disk-1', 'web01-disk-0', 'web01-disk-2']);
      const nic = await ground.fixture.network.networkInterfaces.get(
        GROUP,
        String(landing.ref.networkInterface),
      );
      expect(nic).toMatchObject({
        tags: { owner: 'shop' },
        ipConfigurations: [{ privateIPAddress: '10.20.0.9', privateIPAllocationMethod: 'Static' }],
      });
      expect(nic.ipConfigurations?.[0]?.publicIPAddress).toBeUndefined();
      expect(nic.networkSecurityGroup?.id).toContain('landfall-quarantine-shape');
    });
  }, 60_000);

  test('with UEFI, Secure Boot and a TPM is of generation 2, from its boot disk on', async () => {
    const traits = { firmware: 'uefi' as const, secureBoot: true, diskCount: 2 };
    await ground.inRun('trusted', { traits, to: { vtpm: true } }, async (work, attempt) => {
      await ground.land(work, attempt());
      expect(await onlyMachine()).toMatchObject({
        securityProfile: {
          securityType: 'TrustedLaunch',
          uefiSettings: { secureBootEnabled: true, vTpmEnabled: true },
        },
      });
      const disks = await Array.fromAsync(ground.fixture.compute.disks.listByResourceGroup(GROUP));
      const disk = (label: string) => disks.find(({ name }) => name?.startsWith(label));
      expect(disk('web01-disk-0')).toMatchObject({ hyperVGeneration: 'V2', osType: 'Linux' });
      expect(disk('web01-disk-0')?.securityProfile?.securityType).toBe('TrustedLaunch');
      expect(disk('web01-disk-1')?.osType).toBeUndefined();
    });
  }, 60_000);

  test('of Windows says so, under a name that Windows takes', async () => {
    const traits = { os: 'windows2019srv_64Guest', name: 'accounting-server-03' };
    await ground.inRun('windows', { traits }, async (work, attempt) => {
      const landing = await ground.land(work, attempt());
      expect(landing.id).toBe('accounting-serv');
      const machine = await ground.fixture.compute.virtualMachines.get(GROUP, landing.id);
      expect(machine.storageProfile?.osDisk?.osType).toBe('Windows');
    });
  }, 60_000);

  test('lands, is admitted and goes by the role of docs/azure.md and no more', async () => {
    const actions = [
      LANDING_ACTIONS,
      OPERATION_ACTIONS,
      SNAPSHOT_ACTIONS,
      SUBNET_ACTIONS,
      GROUP_ACTIONS,
      ENCRYPTION_ACTIONS,
    ].flat();
    const state = createDurableState();
    const attempt = (): FakeStepContext => attemptOf('role', state);
    ground.fixture.sandbox.rights.set({ actions, notActions: [] });
    const landing = await ground.land(await ground.prepare(attempt(), {}), attempt());
    expect((await ground.observe(landing, attempt())).state).toBe('running');
    await untilDone(() => ground.admit(landing, attempt()));
    expect((await ground.kinds('role')).sort()).toEqual(['disk', 'network-interface', 'virtual-machine']);
    await ground.discardAll(attempt());
    expect(await ground.kinds('role')).toEqual([]);
  }, 60_000);

  test('is not made without a subnet', async () => {
    const work = { machine: { name: 'web01' } as ImportWork['machine'], to: {}, artifacts: [] };
    await expect(ground.step(work, attemptOf('bare'))).rejects.toMatchObject({
      code: 'target-refused',
      message: expect.stringContaining('Set `subnet`'),
    });
  });
});

describe('a disk', () => {
  test('to which somebody has access is waited for', async () => {
    await ground.inRun('busy', {}, async (work, attempt) => {
      const { compute } = ground.fixture;
      const name = String(work.artifacts[0]?.ref.name);
      await compute.disks.grantAccess(GROUP, name, { access: 'Read', durationInSeconds: 600 }, FAST);
      expect(await ground.step(work, attempt())).toMatchObject({
        kind: 'wait',
        note: 'disk 0 is being read by somebody',
      });
      expect(await ground.kinds('busy')).toEqual(['disk']);
      await compute.disks.revokeAccess(GROUP, name, FAST);
      await ground.land(work, attempt());
    });
  }, 60_000);

  test('that is gone is told, and nothing is made', async () => {
    await ground.inRun('gone', {}, async (work, attempt) => {
      await ground.fixture.compute.disks.delete(GROUP, String(work.artifacts[0]?.ref.name), FAST);
      await expect(ground.step(work, attempt())).rejects.toMatchObject({
        code: 'target-missing',
        message: expect.stringMatching(/disk 0 of web01 was uploaded, is gone.*landfall discard/),
      });
      expect(await ground.kinds('gone')).toEqual([]);
    });
  });
});

describe('what somebody removed', () => {
  test('is made again: first the machine, then both it and its interface, with the same disks', async () => {
    await ground.inRun('removed', {}, async (work, attempt) => {
      const { compute, network } = ground.fixture;
      const first = await ground.land(work, attempt());
      await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
      const second = await ground.land(work, attempt());
      expect(second.ref.vmId).not.toBe(first.ref.vmId);
      expect(second.ref).toMatchObject({
        networkInterface: first.ref.networkInterface,
        disks: first.ref.disks,
      });
      await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
      await network.networkInterfaces.delete(GROUP, String(second.ref.networkInterface), FAST);
      const third = await ground.land(work, attempt());
      expect(third.ref.networkInterface).not.toBe(first.ref.networkInterface);
      expect((await ground.kinds('removed')).sort()).toEqual([
        'disk',
        'network-interface',
        'security-group',
        'virtual-machine',
      ]);
    });
  }, 60_000);
});

describe('what is not ours', () => {
  test('stays as it is: a machine of the same name', async () => {
    await ground.inRun('first-run', {}, async (work, attempt) => {
      const { vmId } = (await ground.land(work, attempt())).ref;
      await ground.inRun('second-run', {}, async (other, theirs) => {
        await expect(untilDone(() => ground.step(other, theirs()))).rejects.toMatchObject({
          code: 'target-refused',
          message: expect.stringMatching(/There is a virtual machine web01 in landfall-demo already/),
        });
        await ground.discardAll(theirs());
        expect((await onlyMachine()).vmId).toBe(vmId);
        expect(await ground.kinds('second-run')).toEqual([]);
      });
    });
  }, 60_000);

  test('of the quarantine keeps the machine from starting: an interface in another group', async () => {
    await ground.inRun('moved', {}, async (work, attempt) => {
      const { compute, network } = ground.fixture;
      const landing = await ground.land(work, attempt());
      await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
      const name = String(landing.ref.networkInterface);
      const nic = await network.networkInterfaces.get(GROUP, name);
      const { id } = await network.networkSecurityGroups.get(GROUP, 'web');
      const open = { ...nic, networkSecurityGroup: { id: String(id) } };
      await network.networkInterfaces.createOrUpdate(GROUP, name, open, FAST);
      await expect(ground.land(work, attempt())).rejects.toMatchObject({
        code: 'target-refused',
        message: expect.stringContaining('is in web instead of the quarantine'),
      });
      await expect(onlyMachine()).rejects.toMatchObject({ statusCode: 404 });
    });
  }, 60_000);
});
