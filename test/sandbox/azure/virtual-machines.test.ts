import type { VirtualMachine } from '@azure/arm-compute';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootDisk } from '../ec2/boot-sector.ts';
import {
  type AzureFixture,
  FAST,
  fixedVhd,
  GROUP,
  pagesAt,
  refusalOf,
  startAzureFixture,
} from './fixture.ts';

let fixture: AzureFixture;

beforeAll(async () => {
  fixture = await startAzureFixture({
    limits: { cores: 6, exhaustedSizes: ['Standard_E2s_v5'], shutdownMs: 200 },
  });
});
afterAll(() => fixture[Symbol.asyncDispose]());

const SUBNET = 'landfall-vnet/subnets/servers';

function idOf(provider: string, path: string): string {
  return `/subscriptions/${fixture.sandbox.subscriptionId}/resourceGroups/${GROUP}/providers/${provider}/${path}`;
}

async function makeInterface(name: string, more: object = {}): Promise<string> {
  const subnet = { id: idOf('Microsoft.Network', `virtualNetworks/${SUBNET}`) };
  const nic = await fixture.network.networkInterfaces.createOrUpdate(
    GROUP,
    name,
    { location: fixture.sandbox.location, ipConfigurations: [{ name: 'primary', subnet }], ...more },
    FAST,
  );
  return nic.id ?? '';
}

async function describeVm(
  name: string,
  osDisk: string,
  more: Partial<VirtualMachine> = {},
): Promise<VirtualMachine> {
  return {
    location: fixture.sandbox.location,
    hardwareProfile: { vmSize: 'Standard_B2s' },
    storageProfile: {
      osDisk: {
        createOption: 'Attach',
        osType: 'Linux',
        managedDisk: { id: osDisk },
        deleteOption: 'Delete',
      },
    },
    networkProfile: {
      networkInterfaces: [{ id: await makeInterface(`${name}-nic`), deleteOption: 'Delete' }],
    },
    diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    ...more,
  };
}

async function consoleOf(name: string): Promise<string> {
  const { serialConsoleLogBlobUri = '' } = await fixture.compute.virtualMachines.retrieveBootDiagnosticsData(
    GROUP,
    name,
  );
  const bytes = await pagesAt(serialConsoleLogBlobUri).download();
  const chunks: Buffer[] = [];
  for await (const chunk of bytes.readableStreamBody ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function powerOf(name: string): Promise<(string | undefined)[]> {
  const { statuses = [] } = await fixture.compute.virtualMachines.instanceView(GROUP, name);
  return statuses.map(({ code }) => code).filter((code) => code?.startsWith('PowerState'));
}

describe('a VM from uploaded disks', () => {
  test('boots, shows its console and its screen, stops, starts and goes with what it holds', async () => {
    const { compute, network } = fixture;
    const osDisk = await fixture.upload('web01-os', fixedVhd(bootDisk('azure guest speaks\n')));
    const dataDisk = await fixture.upload('web01-data', fixedVhd(Buffer.from('data')), {
      osType: undefined as never,
    });
    const vm = await describeVm('web01', osDisk);
    Object.assign(vm.storageProfile ?? {}, {
      dataDisks: [{ lun: 0, createOption: 'Attach', managedDisk: { id: dataDisk }, deleteOption: 'Detach' }],
    });
    const made = await compute.virtualMachines.createOrUpdate(GROUP, 'web01', vm, FAST);
    expect(made.provisioningState).toBe('Succeeded');
    expect(await powerOf('web01')).toEqual(['PowerState/running']);
    expect(await compute.disks.get(GROUP, 'web01-os')).toMatchObject({
      diskState: 'Attached',
      managedBy: made.id,
    });
    expect(await network.networkInterfaces.get(GROUP, 'web01-nic')).toMatchObject({
      virtualMachine: { id: made.id },
    });
    await expect.poll(() => consoleOf('web01'), { timeout: 20_000 }).toContain('azure guest speaks');

    const { consoleScreenshotBlobUri = '' } = await compute.virtualMachines.retrieveBootDiagnosticsData(
      GROUP,
      'web01',
    );
    const bmp = await pagesAt(consoleScreenshotBlobUri).downloadToBuffer();
    expect(bmp.toString('latin1', 0, 2)).toBe('BM');
    expect(bmp.readUInt32LE(2)).toBe(bmp.length);
    const [bare = ''] = consoleScreenshotBlobUri.split('?');
    expect(await refusalOf(pagesAt(bare).download())).toMatchObject({ code: 'AuthenticationFailed' });
    const { vmAgent } = await compute.virtualMachines.instanceView(GROUP, 'web01');
    expect(vmAgent?.statuses?.[0]?.displayStatus).toBe('Not Ready');

    expect(await refusalOf(compute.disks.delete(GROUP, 'web01-os', FAST))).toMatchObject({
      code: 'OperationNotAllowed',
    });
    expect(await refusalOf(network.networkInterfaces.delete(GROUP, 'web01-nic', FAST))).toMatchObject({
      code: 'NicInUse',
    });

    await compute.virtualMachines.powerOff(GROUP, 'web01', { skipShutdown: true, ...FAST });
    expect(await powerOf('web01')).toEqual(['PowerState/stopped']);
    expect(await consoleOf('web01')).toContain('azure guest speaks');
    await compute.virtualMachines.deallocate(GROUP, 'web01', FAST);
    expect(await powerOf('web01')).toEqual(['PowerState/deallocated']);
    expect((await compute.disks.get(GROUP, 'web01-os')).diskState).toBe('Reserved');
    await compute.virtualMachines.start(GROUP, 'web01', FAST);
    expect(await powerOf('web01')).toEqual(['PowerState/running']);

    await compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
    expect(await refusalOf(compute.virtualMachines.get(GROUP, 'web01'))).toMatchObject({
      code: 'ResourceNotFound',
    });
    expect(await refusalOf(compute.disks.get(GROUP, 'web01-os'))).toMatchObject({ statusCode: 404 });
    expect(await refusalOf(network.networkInterfaces.get(GROUP, 'web01-nic'))).toMatchObject({
      statusCode: 404,
    });
    expect((await compute.disks.get(GROUP, 'web01-data')).diskState).toBe('Unattached');
    await compute.virtualMachines.delete(GROUP, 'web01', FAST);
  });

  test('with UEFI firmware says on its console that it finds nothing to boot', async () => {
    const osDisk = await fixture.upload('efi-os', fixedVhd(Buffer.from('nothing')), {
      hyperVGeneration: 'V2',
    });
    await fixture.compute.virtualMachines.createOrUpdate(GROUP, 'efi', await describeVm('efi', osDisk), FAST);
    await expect.poll(() => consoleOf('efi'), { timeout: 25_000 }).toMatch(/BdsDxe|UEFI/);
    await fixture.compute.virtualMachines.delete(GROUP, 'efi', { forceDeletion: true, ...FAST });
  });

  test('runs again after the sandbox was restarted, from what it had written', async () => {
    const osDisk = await fixture.upload('again-os', fixedVhd(bootDisk('again\n')));
    await fixture.compute.virtualMachines.createOrUpdate(
      GROUP,
      'again',
      await describeVm('again', osDisk),
      FAST,
    );
    await expect.poll(() => consoleOf('again'), { timeout: 20_000 }).toContain('again');
    await fixture.restart();
    // A screen is there only while a guest runs.
    const { consoleScreenshotBlobUri = '' } =
      await fixture.compute.virtualMachines.retrieveBootDiagnosticsData(GROUP, 'again');
    await expect.poll(() => pagesAt(consoleScreenshotBlobUri).exists(), { timeout: 20_000 }).toBe(true);
    await expect.poll(() => consoleOf('again'), { timeout: 20_000 }).toContain('again');
    expect(await powerOf('again')).toEqual(['PowerState/running']);
    await fixture.compute.virtualMachines.delete(GROUP, 'again', { forceDeletion: true, ...FAST });
  });
});

test('a VM whose creation failed on the way says so, and the same request tries again', async () => {
  const { compute, sandbox } = fixture;
  const osDisk = await fixture.upload('failed-os', fixedVhd(bootDisk('second try\n')));
  const vm = await describeVm('failed', osDisk);
  sandbox.faults.add({
    service: 'arm',
    action: 'VirtualMachines_CreateOrUpdate',
    error: { status: 409, code: 'AllocationFailed', isLate: true },
  });
  const failed = await refusalOf(compute.virtualMachines.createOrUpdate(GROUP, 'failed', vm, FAST));
  expect(failed.message).toContain('AllocationFailed');
  expect((await compute.virtualMachines.get(GROUP, 'failed')).provisioningState).toBe('Failed');
  const made = await compute.virtualMachines.createOrUpdate(GROUP, 'failed', vm, FAST);
  expect(made.provisioningState).toBe('Succeeded');
  await expect.poll(() => consoleOf('failed'), { timeout: 20_000 }).toContain('second try');
  await compute.virtualMachines.delete(GROUP, 'failed', { forceDeletion: true, ...FAST });
});

describe('a VM is refused', () => {
  const create = async (name: string, vm: VirtualMachine) =>
    refusalOf(fixture.compute.virtualMachines.createOrUpdate(GROUP, name, vm, FAST));

  test('while its disk is being uploaded or read', async () => {
    const pages = await fixture.openUpload('busy-os', 20 * 1024 * 1024 + 512);
    const id = idOf('Microsoft.Compute', 'disks/busy-os');
    expect(await create('busy', await describeVm('busy', id))).toMatchObject({
      statusCode: 409,
      code: 'OperationNotAllowed',
      message: expect.stringContaining('ActiveUpload'),
    });
    const vhd = fixedVhd(Buffer.from('x'));
    await pages.uploadPages(vhd.subarray(-512), vhd.length - 512, 512);
    await fixture.compute.disks.revokeAccess(GROUP, 'busy-os', FAST);
    await fixture.compute.disks.grantAccess(
      GROUP,
      'busy-os',
      { access: 'Read', durationInSeconds: 60 },
      FAST,
    );
    expect((await create('busy', await describeVm('busy', id))).message).toContain('shared access signature');
  });

  test('of a size that is not there, sold out, over quota or of another generation', async () => {
    const osDisk = await fixture.upload('sizes-os', fixedVhd(Buffer.from('x')));
    const vm = await describeVm('sizes', osDisk);
    const size = (vmSize: string): VirtualMachine => ({ ...vm, hardwareProfile: { vmSize } });
    expect(await create('sizes', size('Standard_X1'))).toMatchObject({
      statusCode: 400,
      code: 'InvalidParameter',
    });
    expect(await create('sizes', size('Standard_E2s_v5'))).toMatchObject({
      statusCode: 409,
      code: 'SkuNotAvailable',
    });
    const overQuota = await create('sizes', size('Standard_D8s_v5'));
    expect(overQuota).toMatchObject({
      code: 'OperationNotAllowed',
      message: expect.stringMatching(/quota.*Current Limit: 6/),
    });
    expect((await create('sizes', size('Standard_DC2s_v3'))).message).toMatch(/Hypervisor Generation '1'/);
  });

  test('without its disk, its interface, or with what the sandbox does not know', async () => {
    const osDisk = await fixture.upload('parts-os', fixedVhd(Buffer.from('x')));
    const vm = await describeVm('parts', osDisk);
    const elsewhere = await describeVm('parts', idOf('Microsoft.Compute', 'disks/away'));
    expect(await create('parts', elsewhere)).toMatchObject({ statusCode: 404, code: 'NotFound' });
    const away = { networkInterfaces: [{ id: idOf('Microsoft.Network', 'networkInterfaces/away') }] };
    expect(await create('parts', { ...vm, networkProfile: away })).toMatchObject({
      code: 'InvalidResourceReference',
    });
    expect(await create('parts', { ...vm, userData: 'eA==' })).toMatchObject({
      code: 'InvalidRequestContent',
    });
    expect(await create('bad_name', vm)).toMatchObject({ code: 'InvalidParameter' });
    const trusted = { securityType: 'TrustedLaunch', uefiSettings: { secureBootEnabled: true } };
    expect((await create('parts', { ...vm, securityProfile: trusted })).message).toContain('Trusted Launch');
  });
});
