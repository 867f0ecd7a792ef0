/** What a new subscription holds: a resource group with a network, its subnets, and the groups that machines land in. */
import { randomUUID } from 'node:crypto';
import type { AzureAccount } from './account.ts';
import { groupId, keyOf, writeId } from './resource-id.ts';
import { denyAll } from './security-rules.ts';
import type {
  AzureState,
  EncryptionSet,
  ResourceGroup,
  SecurityGroup,
  SecurityRule,
  VirtualNetwork,
} from './state.ts';

export type AzureSeed = {
  location: string;
  resourceGroups: readonly string[];
  networks: readonly {
    resourceGroup: string;
    name: string;
    prefix: string;
    subnets: Readonly<Record<string, string>>;
  }[];
  /** Ports open from everywhere, by group. */
  securityGroups: readonly { resourceGroup: string; name: string; openPorts: readonly number[] }[];
  /** Default: none. */
  encryptionSets?: readonly { resourceGroup: string; name: string; location: string }[];
};

const GROUP = 'landfall-demo';

export const DEFAULT_SEED: AzureSeed = {
  location: 'westeurope',
  resourceGroups: [GROUP],
  networks: [
    {
      resourceGroup: GROUP,
      name: 'landfall-vnet',
      prefix: '10.20.0.0/16',
      subnets: { servers: '10.20.0.0/20', quarantine: '10.20.16.0/24' },
    },
  ],
  securityGroups: [
    { resourceGroup: GROUP, name: 'web', openPorts: [80, 443] },
    { resourceGroup: GROUP, name: 'db', openPorts: [5432] },
  ],
};

export function seedState({ subscriptionId }: AzureAccount, seed: AzureSeed): AzureState {
  const { location } = seed;
  const base = { location, tags: {} };
  const groups = seed.resourceGroups.map(
    (name): ResourceGroup => ({ ...base, id: groupId(subscriptionId, name), name }),
  );
  const idOf = (resourceGroup: string, type: string, name: string): string =>
    writeId(subscriptionId, { resourceGroup, provider: 'Microsoft.Network', type, name });
  const encryptionSets = (seed.encryptionSets ?? []).map((set): EncryptionSet => {
    const { resourceGroup, name } = set;
    const place = { resourceGroup, provider: 'Microsoft.Compute', type: 'diskEncryptionSets', name };
    return { ...base, ...set, id: writeId(subscriptionId, place) };
  });
  const networks = seed.networks.map(
    ({ resourceGroup, name, prefix, subnets }): VirtualNetwork => ({
      ...base,
      id: idOf(resourceGroup, 'virtualNetworks', name),
      name,
      resourceGroup,
      addressPrefixes: [prefix],
      subnets: Object.entries(subnets).map(([subnet, addressPrefix]) => ({ name: subnet, addressPrefix })),
    }),
  );
  const securityGroups = seed.securityGroups.map(
    ({ resourceGroup, name, openPorts }): SecurityGroup => ({
      ...base,
      id: idOf(resourceGroup, 'networkSecurityGroups', name),
      name,
      resourceGroup,
      resourceGuid: randomUUID(),
      rules: openPorts.map(openRule),
    }),
  );
  return {
    groups: byId(groups),
    networks: byId(networks),
    securityGroups: byId(securityGroups),
    encryptionSets: byId(encryptionSets),
    disks: {},
    machines: {},
    interfaces: {},
    operations: {},
  };
}

function openRule(port: number, index: number): SecurityRule {
  const rule = denyAll({ name: `open-${port}`, priority: 100 + index * 10, direction: 'Inbound' });
  return {
    ...rule,
    properties: { ...rule.properties, access: 'Allow', protocol: 'Tcp', destinationPortRange: String(port) },
  };
}

function byId<T extends { id: string }>(members: readonly T[]): Record<string, T> {
  return Object.fromEntries(members.map((member) => [keyOf(member.id), member]));
}
