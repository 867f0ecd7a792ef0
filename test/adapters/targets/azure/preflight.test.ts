/** What pre-flight finds of the subscription: who we are, what we may, networks and quotas. `refused` of the contract's ground has more. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  ENCRYPTION_ACTIONS,
  GROUP_ACTIONS,
  LANDING_ACTIONS,
  OPERATION_ACTIONS,
  SNAPSHOT_ACTIONS,
  SUBNET_ACTIONS,
  SUBSCRIPTION_ACTIONS,
} from '../../../../adapters/targets/azure/role.ts';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { InjectedError } from '../../../../src/sandbox/faults.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import type { MachineTraits } from '../machines.ts';
import { openPreflightGround, type PreflightGround } from './preflight-ground.ts';

const DENIED: InjectedError = { status: 403, code: 'AuthorizationFailed' };
const OTHER_SUBSCRIPTION = '11111111-0000-4000-8000-000000000001';

let ground: PreflightGround;

beforeAll(async () => {
  ground = await openPreflightGround();
}, 60_000);
afterEach(() => {
  ground.fixture.sandbox.faults.clear();
  ground.fixture.sandbox.rights.reset();
});
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

function refuse(action: string, error: InjectedError): void {
  ground.fixture.sandbox.faults.add({ service: 'arm', action, error, times: 10 });
}

function idOf(
  type: string,
  { group = GROUP, subscription = ground.fixture.sandbox.subscriptionId } = {},
): string {
  return `/subscriptions/${subscription}/resourceGroups/${group}/providers/${type}`;
}

describe('the identity', () => {
  const ASKED = [
    { level: 'fail', subject: 'identity', remedy: expect.stringContaining('Give this shell an identity') },
  ];

  test('that nobody gives is said once, and nothing else', async () => {
    const { faults } = ground.fixture.sandbox;
    faults.add({ service: 'identity', error: { status: 400, code: 'invalid_request' }, times: 10 });
    expect(await ground.look({})).toMatchObject(ASKED);
  });

  test('that Resource Manager does not take is said once, and nothing else', async () => {
    refuse('ResourceGroups_Get', { status: 401, code: 'InvalidAuthenticationTokenTenant' });
    expect(await ground.look({})).toMatchObject(ASKED);
  });
});

describe('Resource Manager', () => {
  test('that does not answer fails within seconds', async () => {
    const findings = await ground.look({ options: { endpoint: await closedEndpoint() } });
    expect(findings).toMatchObject([{ level: 'fail', remedy: expect.stringContaining('network') }]);
  });

  test('that knows no such subscription is told with the option', async () => {
    expect(await ground.look({ options: { subscription: OTHER_SUBSCRIPTION } })).toMatchObject([
      {
        level: 'fail',
        subject: `resource group ${GROUP}`,
        remedy: expect.stringContaining('`subscription`'),
      },
    ]);
  });

  test.each([
    ['Subscriptions_ListLocations', 'location westeurope'],
    ['ResourceSkus_List', 'sizes in westeurope'],
    ['Permissions_ListForResourceGroup', `rights on ${GROUP}`],
    ['Usage_List', 'quotas in westeurope'],
  ])('that does not let us ask by %s does not stand in the way', async (action, subject) => {
    refuse(action, DENIED);
    expect(await ground.failures({})).toEqual([]);
    expect(await ground.warnings({})).toMatchObject([{ subject, remedy: expect.stringContaining('Grant') }]);
  });

  test.each(['ResourceSkus_List', 'Usage_List', 'VirtualNetworks_Get', 'VirtualMachines_Get'])(
    'that is broken at %s stops the run',
    async (action) => {
      refuse(action, { status: 400, code: 'BadRequest' });
      expect(await ground.failures({})).toMatchObject([{ message: expect.stringContaining('BadRequest') }]);
    },
  );
});

test('says that verify will not be possible where no snapshots are kept', async () => {
  expect(await ground.warnings({ options: { keepSnapshots: false } })).toMatchObject([
    { subject: 'landfall verify', remedy: expect.stringContaining('keepSnapshots: true') },
  ]);
  expect(await ground.warnings({})).toEqual([]);
});

describe('the role of docs/azure.md', () => {
  const ROLE = [
    ...LANDING_ACTIONS,
    ...OPERATION_ACTIONS,
    ...SNAPSHOT_ACTIONS,
    ...SUBNET_ACTIONS,
    ...GROUP_ACTIONS,
    ...ENCRYPTION_ACTIONS,
    ...SUBSCRIPTION_ACTIONS,
  ];
  const options = (): JsonObject => ({
    keepSnapshots: true,
    diskEncryptionSet: idOf('Microsoft.Compute/diskEncryptionSets/ours', { group: 'keys' }),
  });

  test('is enough for pre-flight', async () => {
    ground.fixture.sandbox.rights.set({ actions: ROLE, notActions: [] });
    const findings = await ground.look({ options: options() });
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.map(({ subject }) => subject)).toContain(`rights on ${GROUP}`);
  });

  test.each([...new Set(ROLE)].filter((action) => !SUBSCRIPTION_ACTIONS.includes(action)))(
    'without %s is refused, and says which is missing',
    async (action) => {
      const { rights } = ground.fixture.sandbox;
      rights.set({ actions: ROLE.filter((each) => each !== action), notActions: [] });
      const failures = await ground.failures({ options: options() });
      expect(failures.map(({ message }) => message).join('\n')).toContain(action);
      for (const { remedy } of failures) expect(remedy).toContain('docs/azure.md');
    },
  );

  test('is asked for at the resource group of the network too', async () => {
    ground.fixture.sandbox.rights.deny('Microsoft.Network/virtualNetworks/subnets/join/action');
    const to = { subnet: idOf('Microsoft.Network/virtualNetworks/hub/subnets/servers', { group: 'keys' }) };
    expect(await ground.failures({ to })).toMatchObject([
      { subject: 'rights on keys', message: expect.stringContaining('subnets/join/action') },
      { message: 'there is no such network in keys' },
    ]);
  });
});

describe('a disk encryption set', () => {
  test.each<[string, () => string, string]>([
    [
      'of another subscription',
      () => idOf('Microsoft.Compute/diskEncryptionSets/ours', { subscription: OTHER_SUBSCRIPTION }),
      `the disk encryption set is in another subscription, ${OTHER_SUBSCRIPTION}`,
    ],
    [
      'of a resource group that is away',
      () => idOf('Microsoft.Compute/diskEncryptionSets/ours', { group: 'nowhere' }),
      'there is no such disk encryption set',
    ],
    [
      'that is away',
      () => idOf('Microsoft.Compute/diskEncryptionSets/theirs', { group: 'keys' }),
      'there is no such disk encryption set',
    ],
    [
      'of another location',
      () => idOf('Microsoft.Compute/diskEncryptionSets/northern', { group: 'keys' }),
      'the disk encryption set is in northeurope',
    ],
  ])('%s is refused', async (_, id, message) => {
    expect(await ground.failures({ options: { diskEncryptionSet: id() } })).toMatchObject([
      { message, remedy: expect.stringContaining('`diskEncryptionSet`') },
    ]);
  });
});

describe('the network', () => {
  test('and the groups must be where machines land', async () => {
    const options = { location: 'northeurope' };
    const to = { size: 'Standard_B1s' };
    const messages = (await ground.failures({ options, to })).map(({ message }) => message);
    const elsewhere = 'it is in westeurope, but machines land in northeurope';
    expect(messages.filter((message) => message === elsewhere)).toHaveLength(2);
  });

  test.each<[string, JsonObject, string, string]>([
    ['a subnet', { subnet: undefined as never }, 'it has no subnet to land in', '`subnet`'],
    [
      'a group',
      { group: undefined as never },
      'it has no network security group to be admitted to',
      '`group`',
    ],
  ])('without %s says what to set', async (_, to, message, remedy) => {
    expect(await ground.failures({ to })).toMatchObject([
      { message, remedy: expect.stringContaining(remedy) },
    ]);
  });

  test('of a resource group that is away, and a group of such, are refused', async () => {
    const group = 'nowhere';
    const to = {
      subnet: idOf('Microsoft.Network/virtualNetworks/hub/subnets/servers', { group }),
      group: idOf('Microsoft.Network/networkSecurityGroups/web', { group }),
    };
    const messages = (await ground.failures({ to })).map(({ message }) => message);
    expect(messages).toEqual(
      expect.arrayContaining([
        'there is no such network in nowhere',
        'there is no such network security group in nowhere',
      ]),
    );
  });

  test('with an address that something has is refused', async () => {
    await ground.takeAddress('neighbour', { subnet: 'servers', address: '10.20.1.7' });
    expect(await ground.failures({ to: { privateIp: '10.20.1.7' } })).toMatchObject([
      { subject: 'web01: 10.20.1.7', message: 'something has this address already' },
    ]);
    expect(await ground.failures({ to: { privateIp: '10.20.1.8' } })).toEqual([]);
  });

  test('that is full is refused', async () => {
    const to = { subnet: 'landfall-vnet/tiny' };
    for (const name of ['first', 'second']) await ground.takeAddress(name, { subnet: 'tiny' });
    expect(await ground.failures({ to })).toEqual([]);
    await ground.takeAddress('third', { subnet: 'tiny' });
    expect(await ground.failures({ to })).toMatchObject([{ message: 'it has no free address' }]);
  });

  test('with a quarantine group that is open is warned of', async () => {
    const options = { quarantineGroup: 'db' };
    expect(await ground.failures({ options })).toEqual([]);
    expect(await ground.warnings({ options })).toMatchObject([
      { subject: 'group db', message: expect.stringContaining('does not deny everything') },
    ]);
  });

  test('with a quarantine group that is shut is fine', async () => {
    const rule = {
      access: 'Deny',
      protocol: '*',
      priority: 100,
      sourceAddressPrefix: '*',
      sourcePortRange: '*',
      destinationAddressPrefix: '*',
      destinationPortRange: '*',
    };
    const all = ['Inbound', 'Outbound'].map((direction) => ({ ...rule, direction, name: direction }));
    const platform = ['DNS', 'IMDS', 'LKM'].map((service, index) => ({
      ...rule,
      direction: 'Outbound',
      name: service,
      priority: 101 + index,
      destinationAddressPrefix: `AzurePlatform${service}`,
    }));
    const securityRules = [...all, ...platform];
    const { network, sandbox } = ground.fixture;
    const group = { location: sandbox.location, securityRules };
    await network.networkSecurityGroups.createOrUpdate(GROUP, 'shut', group, FAST);
    expect(await ground.warnings({ options: { quarantineGroup: 'shut' } })).toEqual([]);
  });
});

describe('quotas', () => {
  const wide = (diskType: string): [JsonObject, MachineTraits] => [
    { size: 'Standard_D8s_v5', diskType },
    { diskCount: 6 },
  ];

  test.each<[string, JsonObject, MachineTraits, string]>([
    ['cores', { size: 'Standard_D32s_v5' }, {}, 'needs 32 of Total Regional vCPUs; 0 of 20'],
    ['cores of a family', { size: 'Standard_F8s_v2' }, {}, 'needs 8 of standardFSv2Family; 0 of 4'],
    ['Standard disks', ...wide('Standard_LRS'), 'needs 6 of Standard Storage Managed Disks; 0 of 5'],
    ['Standard SSDs', ...wide('StandardSSD_LRS'), 'needs 6 of StandardSSD Storage Managed Disks; 0 of 5'],
    ['Premium disks', ...wide('Premium_LRS'), 'needs 6 of Premium Storage Managed Disks; 0 of 5'],
  ])('of %s that do not suffice are found', async (_, to, traits, message) => {
    expect(await ground.failures({ to, traits })).toMatchObject([
      { subject: 'quotas in westeurope', message: expect.stringContaining(message) },
    ]);
  });

  test('are counted over all machines of the wave', async () => {
    const machines = ['a', 'b', 'c', 'd'].map((name) => ground.planned({}, { name }));
    expect(await ground.failures({ machines: machines.slice(1) })).toEqual([]);
    expect(await ground.failures({ machines })).toMatchObject([
      {
        message: 'the wave needs 4 of Virtual Machines; 0 of 3 are used',
        remedy: expect.stringContaining('raised'),
      },
    ]);
  });

  test('count what is used already', async () => {
    const { compute, sandbox } = ground.fixture;
    const disk = {
      location: sandbox.location,
      creationData: { createOption: 'Empty' as const },
      diskSizeGB: 1,
    };
    for (const name of ['one', 'two']) await compute.disks.createOrUpdate(GROUP, name, disk, FAST);
    const traits = { diskCount: 4 };
    expect(await ground.failures({ to: { size: 'Standard_D8s_v5' }, traits })).toMatchObject([
      { message: expect.stringContaining('needs 4 of Standard Storage Managed Disks; 2 of 5 are used') },
    ]);
    for (const name of ['one', 'two']) await compute.disks.delete(GROUP, name, FAST);
  });
});

/** Of a port where somebody listened a moment ago. */
async function closedEndpoint(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `https://127.0.0.1:${port}`;
}
