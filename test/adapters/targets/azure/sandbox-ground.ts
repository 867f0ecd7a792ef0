/** The sandbox's Azure as a ground for the target's contract, and clients to look at what the adapter made. */
import type { ComputeManagementClient } from '@azure/arm-compute';
import type { NetworkManagementClient } from '@azure/arm-network';
import { azureTarget } from '../../../../adapters/targets/azure/azure.ts';
import type { Disk } from '../../../../src/domain/machine.ts';
import type { AzureSandboxOptions } from '../../../../src/sandbox/azure/server.ts';
import { type AzureFixture, FAST, GROUP, startAzureFixture } from '../../../sandbox/azure/fixture.ts';
import type { Holdings, RefusedPlan, TargetGround } from '../ground.ts';

export type AzureGround = TargetGround & { fixture: AzureFixture };

const TIB = 2 ** 40;

export async function openSandboxGround(options: Partial<AzureSandboxOptions> = {}): Promise<AzureGround> {
  const fixture = await startAzureFixture(options);
  const { sandbox, compute, network } = fixture;
  return {
    fixture,
    adapter: azureTarget,
    options: {
      subscription: sandbox.subscriptionId,
      resourceGroup: GROUP,
      location: sandbox.location,
      endpoint: sandbox.url,
      diskType: 'Standard_LRS',
      // Without them, nobody could read a landed disk back.
      keepSnapshots: true,
    },
    to: { subnet: 'landfall-vnet/servers', group: 'web' },
    refused: REFUSED,
    holdings: (run) => countTagged({ compute, network, run }),
    // The disk and its snapshot.
    uploadLeaves: 2,
    landed: { disk: 2, snapshot: 2, machine: 1, interface: 1, group: 1 },
    plantStrangers: () => plantStrangers({ compute, network, location: sandbox.location }),
    isAdmitted: async ({ ref }) => {
      const nic = await network.networkInterfaces.get(GROUP, String(ref.networkInterface));
      return nic.networkSecurityGroup?.id?.endsWith('/networkSecurityGroups/web') ?? false;
    },
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  };
}

const REFUSED: readonly RefusedPlan[] = [
  { name: 'no resource group', options: { resourceGroup: 'nowhere' }, message: /there is none/ },
  { name: 'no location', options: { location: 'atlantis' }, message: /no such location/ },
  {
    name: 'no network',
    to: { subnet: 'nowhere/servers' },
    message: /no such network.*; it has .*landfall-vnet/,
  },
  { name: 'no subnet', to: { subnet: 'landfall-vnet/nowhere' }, message: /no such subnet; it has servers/ },
  {
    name: 'network of another subscription',
    to: { subnet: idElsewhere('virtualNetworks/landfall-vnet/subnets/servers') },
    message: /in another subscription/,
  },
  { name: 'address outside', to: { privateIp: '10.1.2.3' }, message: /is not in 10\.20\.0\.0\/20/ },
  { name: 'address reserved', to: { privateIp: '10.20.0.3' }, message: /first four addresses/ },
  { name: 'no group', to: { group: 'nobody' }, message: /no such network security group.*; it has .*web/ },
  {
    name: 'group of another subscription',
    to: { group: idElsewhere('networkSecurityGroups/web') },
    message: /in another subscription/,
  },
  {
    name: 'no quarantine group',
    options: { quarantineGroup: 'nobody' },
    message: /no such network security group/,
  },
  {
    name: 'no disk encryption set',
    options: {
      diskEncryptionSet: `/subscriptions/${'0'.repeat(8)}-0000-4000-8000-000000000001/resourceGroups/keys/providers/Microsoft.Compute/diskEncryptionSets/ours`,
    },
    message: /disk encryption set/i,
  },
  { name: 'no size', to: { size: 'Standard_D2x_v9' }, message: /no such size/ },
  { name: 'size without BIOS', to: { size: 'Standard_DC2s_v3' }, message: /does not boot by BIOS/ },
  {
    name: 'size with too few disks',
    to: { size: 'Standard_B1s' },
    traits: { diskCount: 4 },
    message: /takes 2 data disks, and the machine has 3/,
  },
  { name: 'no size is large enough', traits: { cpus: 400 }, message: /no common size/ },
  { name: 'TPM with BIOS', to: { vtpm: true }, message: /need UEFI/ },
  { name: 'Secure Boot with BIOS', traits: { secureBoot: true }, message: /need UEFI/ },
  {
    name: 'too large a boot disk for generation 1',
    traits: { disks: [diskOf(2 * TIB + 512)] },
    message: /at most 2 TiB/,
  },
  {
    name: 'too many tags',
    to: { tags: Object.fromEntries(Array.from({ length: 48 }, (_, index) => [`tag${index}`, 'x'])) },
    message: /48 tags/,
  },
];

function diskOf(bytes: number): Disk {
  return { id: '0', bytes, format: 'raw', file: '/images/large.raw', boots: true };
}

function idElsewhere(path: string): string {
  const subscription = '11111111-0000-4000-8000-000000000001';
  return `/subscriptions/${subscription}/resourceGroups/${GROUP}/providers/Microsoft.Network/${path}`;
}

type Account = { compute: ComputeManagementClient; network: NetworkManagementClient };

async function countTagged({ compute, network, run }: Account & { run: string }): Promise<Holdings> {
  const count = async (list: AsyncIterable<{ tags?: Record<string, string> }>): Promise<number> => {
    const all = await Array.fromAsync(list);
    return all.filter(({ tags }) => tags?.['landfall-run'] === run).length;
  };
  const counts = {
    disk: await count(compute.disks.listByResourceGroup(GROUP)),
    snapshot: await count(compute.snapshots.listByResourceGroup(GROUP)),
    machine: await count(compute.virtualMachines.list(GROUP)),
    interface: await count(network.networkInterfaces.list(GROUP)),
    group: await count(network.networkSecurityGroups.list(GROUP)),
  };
  return Object.fromEntries(Object.entries(counts).filter(([, number]) => number > 0));
}

/** A disk, an interface and a group named like ours: all without our tag. */
async function plantStrangers({
  compute,
  network,
  location,
}: Account & { location: string }): Promise<{ stand(): Promise<boolean> }> {
  const disk = `web01-disk-0-${'0'.repeat(32)}`;
  const nic = `web01-nic-${'0'.repeat(32)}`;
  const group = 'landfall-quarantine-like';
  await compute.disks.createOrUpdate(
    GROUP,
    disk,
    { location, creationData: { createOption: 'Empty' }, diskSizeGB: 1 },
    FAST,
  );
  await network.networkSecurityGroups.createOrUpdate(GROUP, group, { location }, FAST);
  const { subnets = [] } = await network.virtualNetworks.get(GROUP, 'landfall-vnet');
  const subnet = { id: subnets[0]?.id as string };
  await network.networkInterfaces.createOrUpdate(
    GROUP,
    nic,
    { location, ipConfigurations: [{ name: 'mine', subnet }] },
    FAST,
  );
  return {
    stand: async () => {
      await compute.disks.get(GROUP, disk);
      await network.networkInterfaces.get(GROUP, nic);
      await network.networkSecurityGroups.get(GROUP, group);
      return true;
    },
  };
}
