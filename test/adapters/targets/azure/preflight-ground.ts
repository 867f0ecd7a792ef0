/** A subscription that lacks something of everything, and pre-flight of waves for it. */
import { azureTarget } from '../../../../adapters/targets/azure/azure.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Finding, PlannedMachine } from '../../../../src/domain/ports.ts';
import { type AzureSeed, DEFAULT_SEED } from '../../../../src/sandbox/azure/seed.ts';
import { type AzureFixture, FAST, GROUP, startAzureFixture } from '../../../sandbox/azure/fixture.ts';
import { type MachineTraits, plannedWith } from '../machines.ts';

export type PreflightGround = AsyncDisposable & {
  fixture: AzureFixture;
  /** Of one machine, unless `machines` says otherwise. */
  look(wave: Wave): Promise<Finding[]>;
  /** Those that stop a run. */
  failures(wave: Wave): Promise<Finding[]>;
  warnings(wave: Wave): Promise<Finding[]>;
  planned(to?: JsonObject, traits?: MachineTraits): PlannedMachine;
  /** In the subnet `tiny`, or with this address in `servers`. */
  takeAddress(name: string, place: { subnet: 'tiny' | 'servers'; address?: string }): Promise<void>;
};

export type Wave = {
  options?: JsonObject;
  to?: JsonObject;
  traits?: MachineTraits;
  machines?: readonly PlannedMachine[];
};

const SEED: AzureSeed = {
  ...DEFAULT_SEED,
  resourceGroups: [GROUP, 'keys'],
  networks: [
    {
      resourceGroup: GROUP,
      name: 'landfall-vnet',
      prefix: '10.20.0.0/16',
      // Three addresses that machines may have.
      subnets: { servers: '10.20.0.0/20', tiny: '10.20.17.0/29' },
    },
  ],
  encryptionSets: [
    { resourceGroup: 'keys', name: 'ours', location: 'westeurope' },
    { resourceGroup: 'keys', name: 'northern', location: 'northeurope' },
  ],
};

export async function openPreflightGround(): Promise<PreflightGround> {
  const fixture = await startAzureFixture({
    seed: SEED,
    limits: {
      cores: 20,
      familyCores: { standardDSv5Family: 64, standardFSv2Family: 4 },
      machines: 3,
      disks: 5,
      exhaustedSizes: ['Standard_E2s_v5'],
      closedZones: { Standard_D2s_v5: ['2'] },
      missingDiskTypes: ['Premium_ZRS'],
    },
  });
  const { sandbox, network } = fixture;
  const options = {
    subscription: sandbox.subscriptionId,
    resourceGroup: GROUP,
    location: sandbox.location,
    endpoint: sandbox.url,
    diskType: 'Standard_LRS',
    keepSnapshots: true,
  };
  const planned = (to: JsonObject = {}, traits: MachineTraits = {}): PlannedMachine =>
    plannedWith({ subnet: 'landfall-vnet/servers', group: 'web', ...to }, traits);
  const look: PreflightGround['look'] = (wave) => {
    const parsed = azureTarget.options.parse({ ...options, ...wave.options });
    const target = azureTarget.create(parsed, { waveFolder: '.', scratchFolder: '.', cacheFolder: '.' });
    return target.preflight(wave.machines ?? [planned(wave.to, wave.traits)], AbortSignal.timeout(20_000));
  };
  const ofLevel = async (wave: Wave, wanted: Finding['level']): Promise<Finding[]> =>
    (await look(wave)).filter(({ level }) => level === wanted);
  return {
    fixture,
    look,
    failures: (wave) => ofLevel(wave, 'fail'),
    warnings: (wave) => ofLevel(wave, 'warn'),
    planned,
    async takeAddress(name, { subnet, address }) {
      const { subnets = [] } = await network.virtualNetworks.get(GROUP, 'landfall-vnet');
      const id = subnets.find((each) => each.name === subnet)?.id as string;
      const place =
        address === undefined ? {} : { privateIPAllocationMethod: 'Static', privateIPAddress: address };
      await network.networkInterfaces.createOrUpdate(
        GROUP,
        name,
        { location: sandbox.location, ipConfigurations: [{ name: 'primary', subnet: { id }, ...place }] },
        FAST,
      );
    },
    [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose](),
  };
}
