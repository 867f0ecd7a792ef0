/** docs/azure.md against the adapter: the role has each action that a call needs and no other, and examples are sound. */
import { glob, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { AZURE_CAPABILITIES, MAX_DISK_BYTES } from '../../adapters/targets/azure/capabilities.ts';
import { azureMachineOptionsSchema, azureOptionsSchema } from '../../adapters/targets/azure/options.ts';
import { PAGE_ATTEMPTS } from '../../adapters/targets/azure/page-retry.ts';
import { MAX_BLOCKS_AT_ONCE } from '../../adapters/targets/azure/page-writer.ts';
import * as lists from '../../adapters/targets/azure/role.ts';
import { fencedBlocks, type Page, sectionOf, tableRows } from './markdown.ts';

type Role = { Actions: string[]; NotActions: string[]; AssignableScopes: string[] };
type Call = { thing: string; method: string };
type Example = {
  target: { azure: unknown };
  defaults: { to: object };
  machines: { name: string; to?: object }[];
};

const GIB = 2 ** 30;
/** Of lists that are called `disks`. */
const ARRAY_METHODS = new Set(['filter', 'map', 'some', 'find']);

const NAMESPACES: Readonly<Record<string, string>> = {
  disks: 'Microsoft.Compute/disks',
  snapshots: 'Microsoft.Compute/snapshots',
  virtualMachines: 'Microsoft.Compute/virtualMachines',
  diskEncryptionSets: 'Microsoft.Compute/diskEncryptionSets',
  resourceSkus: 'Microsoft.Compute/skus',
  usage: 'Microsoft.Compute/locations/usages',
  networkInterfaces: 'Microsoft.Network/networkInterfaces',
  networkSecurityGroups: 'Microsoft.Network/networkSecurityGroups',
  virtualNetworks: 'Microsoft.Network/virtualNetworks',
};
/** https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations */
const VERBS: Readonly<Record<string, string>> = {
  get: 'read',
  list: 'read',
  listByResourceGroup: 'read',
  createOrUpdate: 'write',
  delete: 'delete',
  grantAccess: 'beginGetAccess/action',
  revokeAccess: 'endGetAccess/action',
  instanceView: 'instanceView/read',
  retrieveBootDiagnosticsData: 'retrieveBootDiagnosticsData/action',
  checkIPAddressAvailability: 'checkIpAddressAvailability/read',
};
/** What Azure asks for on the way, and what is read without a client of the SDK. */
const UNCALLED = [
  'Microsoft.Network/networkInterfaces/join/action',
  'Microsoft.Network/networkSecurityGroups/join/action',
  'Microsoft.Network/virtualNetworks/subnets/join/action',
  ...lists.OPERATION_ACTIONS,
  'Microsoft.Resources/subscriptions/resourceGroups/read',
  'Microsoft.Resources/subscriptions/locations/read',
];

const page: Page = { path: 'docs/azure.md', text: await readFile('docs/azure.md', 'utf8') };
const role = JSON.parse(fencedBlocks(page, 'json')[0] ?? '') as Role;
const calls = await listCalls();
const known = [...new Set(Object.values(lists).flatMap((each) => (typeof each === 'function' ? [] : each)))];

describe('the role', () => {
  test('is what pre-flight asks for, action by action', () => {
    expect(known.length).toBeGreaterThan(30);
    expect(role.Actions.toSorted()).toEqual(known.toSorted());
    expect(new Set(role.Actions).size).toBe(role.Actions.length);
    expect(role.NotActions).toEqual([]);
  });

  test.each(calls.map((call) => [`${call.thing}.${call.method}`, call] as const))('allows %s', (_, call) => {
    expect(role.Actions).toContain(actionFor(call));
  });

  test('allows nothing that no call needs', () => {
    const needed = new Set([...calls.map(actionFor), ...UNCALLED]);
    expect(role.Actions.filter((action) => !needed.has(action))).toEqual([]);
  });

  test('is told by the step that needs each action', () => {
    const rows = tableRows(sectionOf(page, '3. The identity'))
      .map((cells) => cells.join(' '))
      .join('\n');
    for (const action of role.Actions) {
      const [, thing, verb] = /^(.*)\/(read|write|delete)$/.exec(action) ?? [];
      const isTold = rows.includes(`\`${action}\``) || (verb !== 'write' && rows.includes(`\`${thing}\``));
      expect(isTold, action).toBe(true);
    }
    const told = [...rows.matchAll(/`(Microsoft\.\w+\/[\w/]+\/(?:read|write|delete|action))`/g)];
    expect(told.map(([, action]) => action).filter((action) => !role.Actions.includes(action ?? ''))).toEqual(
      [],
    );
  });

  test('ends with the actions that are asked for at the subscription, of which the text tells the number', () => {
    const own = [...lists.OPERATION_ACTIONS, ...lists.SUBSCRIPTION_ACTIONS];
    expect(role.Actions.slice(-own.length)).toEqual(own);
    expect(own).toHaveLength(6);
    expect(sectionOf(page, '2. One role')).toContain('The last six actions');
  });
});

describe('the example', () => {
  const example = parse(fencedBlocks(page, 'yaml')[0] ?? '') as Example;

  test('is taken by the schemas of target and machines', () => {
    azureOptionsSchema.parse(example.target.azure);
    expect(example.machines.length).toBeGreaterThan(1);
    for (const { to } of example.machines) azureMachineOptionsSchema.parse({ ...example.defaults.to, ...to });
  });
});

test('the limits are those of the code', () => {
  const limits = sectionOf(page, 'Limits');
  expect(limits).toContain(`${(MAX_DISK_BYTES / GIB).toLocaleString('en')} GiB`);
  expect(limits).toContain(`${AZURE_CAPABILITIES.maxDisks} a machine`);
  const upload = sectionOf(page, 'How the upload works');
  expect(upload).toContain(`up to ${PAGE_ATTEMPTS} times`);
  expect(upload).toContain(`${MAX_BLOCKS_AT_ONCE} × 512 KiB`);
});

/** The requests that the Azure target sends through the SDK's clients of Resource Manager. */
async function listCalls(): Promise<Call[]> {
  const found = new Map<string, Call>();
  for await (const path of glob('adapters/targets/azure/*.ts')) {
    const text = await readFile(path, 'utf8');
    for (const [, thing = '', method = ''] of text.matchAll(
      /\b(disks|snapshots|virtualMachines|diskEncryptionSets|resourceSkus|usage|networkInterfaces|networkSecurityGroups|virtualNetworks)\s*(?:\/\/[^\n]*\s*)*\.(\w+)\(/g,
    ))
      if (!ARRAY_METHODS.has(method)) found.set(`${thing}.${method}`, { thing, method });
  }
  return [...found.values()];
}

function actionFor({ thing, method }: Call): string {
  const verb = VERBS[method];
  if (verb === undefined) throw new Error(`which action does ${thing}.${method} need?`);
  return `${NAMESPACES[thing]}/${verb}`;
}
