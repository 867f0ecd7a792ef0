/** Quarantine, and the way out of it. That admission may be asked for twice is the contract's. */
import type { SecurityRule } from '@azure/arm-network';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { quarantineName } from '../../../../adapters/targets/azure/names.ts';
import { openQuarantine } from '../../../../adapters/targets/azure/quarantine.ts';
import type { Landing } from '../../../../src/domain/landing.ts';
import { createDurableState, type DurableState, type FakeStepContext } from '../../../fakes/step-context.ts';
import { FAST, GROUP } from '../../../sandbox/azure/fixture.ts';
import { untilDone } from '../drive-target.ts';
import { attemptOf, type MachineGround, openMachineGround } from './machine-ground.ts';

const RUN = 'admitted';
const QUARANTINE = quarantineName(RUN);

let ground: MachineGround;
let state: DurableState;

beforeAll(async () => {
  ground = await openMachineGround({ limits: { guestMemoryMib: 128 } });
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

const attempt = (machine = 'web01'): FakeStepContext => attemptOf(RUN, state, machine);
const land = async (machine = 'web01'): Promise<Landing> =>
  ground.land(await ground.prepare(attempt(machine), {}), attempt(machine));
const nicOf = ({ ref }: Landing) =>
  ground.fixture.network.networkInterfaces.get(GROUP, String(ref.networkInterface));

describe('a machine in quarantine', () => {
  test('is under rules that let nothing in and nothing out, before all of Azure’s own', async () => {
    const landing = await land();
    expect((await nicOf(landing)).networkSecurityGroup?.id).toMatch(new RegExp(`/${QUARANTINE}$`));
    const group = await ground.fixture.network.networkSecurityGroups.get(GROUP, QUARANTINE);
    const everything = {
      access: 'Deny',
      protocol: '*',
      priority: 100,
      sourceAddressPrefix: '*',
      sourcePortRange: '*',
      destinationAddressPrefix: '*',
      destinationPortRange: '*',
    };
    expect(group.tags).toEqual({ 'landfall-run': RUN });
    expect(group.securityRules).toMatchObject([
      { ...everything, direction: 'Inbound' },
      { ...everything, direction: 'Outbound' },
      ...['AzurePlatformDNS', 'AzurePlatformIMDS', 'AzurePlatformLKM'].map(
        (destinationAddressPrefix, index) => ({
          ...everything,
          priority: 101 + index,
          direction: 'Outbound',
          destinationAddressPrefix,
        }),
      ),
    ]);
  }, 60_000);

  test('is in the group that the wave names, which is left as it is', async () => {
    const { network, sandbox } = ground.fixture;
    const own = { location: sandbox.location, tags: { owner: 'security' } };
    await network.networkSecurityGroups.createOrUpdate(GROUP, 'jail', own, FAST);
    const named = { ...ground, azure: ground.azureWith({ quarantineGroup: 'jail' }) };
    expect(await openQuarantine(named.azure, attempt())).toMatch(/\/networkSecurityGroups\/jail$/);
    expect(state.ledger).toEqual([]);
    expect((await network.networkSecurityGroups.get(GROUP, 'jail')).tags).toEqual({ owner: 'security' });
  });

  test.each<[string, (rules: SecurityRule[]) => SecurityRule[]]>([
    [
      'added a rule',
      (rules) => [...rules, { ...(rules[0] as SecurityRule), name: 'door', access: 'Allow', priority: 101 }],
    ],
    ['took a rule away', (rules) => rules.slice(1)],
    ['narrowed a rule', (rules) => rules.map((rule) => ({ ...rule, destinationPortRange: '22' }))],
  ])('is refused where somebody %s, and the rules stay for whoever looks', async (_, change) => {
    await openQuarantine(ground.azure, attempt());
    const { network } = ground.fixture;
    const {
      location = '',
      tags = {},
      securityRules = [],
    } = await network.networkSecurityGroups.get(GROUP, QUARANTINE);
    const rules = securityRules.map(({ id: _, etag: __, type: ___, ...rule }) => rule);
    await network.networkSecurityGroups.createOrUpdate(
      GROUP,
      QUARANTINE,
      { location, tags, securityRules: change(rules) },
      FAST,
    );
    await expect(openQuarantine(ground.azure, attempt())).rejects.toMatchObject({
      code: 'target-refused',
      message: expect.stringContaining('no longer denies everything'),
    });
    const after = await network.networkSecurityGroups.get(GROUP, QUARANTINE);
    expect(after.securityRules).toMatchObject(change(rules).map(({ name }) => ({ name })));
  });

  test('is refused where a group of that name is somebody else’s', async () => {
    const { network, sandbox } = ground.fixture;
    await network.networkSecurityGroups.createOrUpdate(
      GROUP,
      QUARANTINE,
      { location: sandbox.location },
      FAST,
    );
    await expect(openQuarantine(ground.azure, attempt())).rejects.toMatchObject({
      code: 'target-refused',
      message: expect.stringContaining('not the tag of run admitted'),
    });
    await network.networkSecurityGroups.delete(GROUP, QUARANTINE, FAST);
  });
});

describe('admission', () => {
  test('puts the wave’s group in place of it, and the last machine takes the quarantine group along', async () => {
    const [first, second] = [await land('web01'), await land('web02')];
    const admitted = await untilDone(() => ground.admit(first, attempt('web01')));
    expect((await nicOf(first)).networkSecurityGroup?.id).toMatch(/\/networkSecurityGroups\/web$/);
    expect(admitted.ref.group).toMatch(/\/networkSecurityGroups\/web$/);
    expect((await nicOf(second)).networkSecurityGroup?.id).toMatch(new RegExp(`/${QUARANTINE}$`));
    expect(await ground.kinds(RUN)).toContain('security-group');
    await untilDone(() => ground.admit(second, attempt('web02'), { group: 'db' }));
    expect((await nicOf(second)).networkSecurityGroup?.id).toMatch(/\/networkSecurityGroups\/db$/);
    expect(await ground.kinds(RUN)).not.toContain('security-group');
  }, 60_000);

  test('keeps what somebody added to the interface meanwhile', async () => {
    const landing = await land();
    const nic = await nicOf(landing);
    const subnet = nic.ipConfigurations?.[0]?.subnet ?? {};
    const ipConfigurations = [
      { name: 'primary', primary: true, subnet },
      { name: 'second', subnet, privateIPAllocationMethod: 'Static' as const, privateIPAddress: '10.20.7.7' },
    ];
    const { location = '', tags = {}, networkSecurityGroup = {} } = nic;
    const changed = { location, tags: { ...tags, cost: '7' }, networkSecurityGroup, ipConfigurations };
    await ground.fixture.network.networkInterfaces.createOrUpdate(GROUP, String(nic.name), changed, FAST);
    await untilDone(() => ground.admit(landing, attempt()));
    const after = await nicOf(landing);
    expect(after.tags).toMatchObject({ cost: '7', 'landfall-run': RUN });
    expect(after.ipConfigurations?.map(({ privateIPAddress }) => privateIPAddress)).toContain('10.20.7.7');
    expect(after.networkSecurityGroup?.id).toMatch(/\/networkSecurityGroups\/web$/);
  }, 60_000);

  test('is done once: no request is sent for a machine that is in its group already', async () => {
    const landing = await land();
    const admitted = await untilDone(() => ground.admit(landing, attempt()));
    const { requests } = ground.fixture.sandbox;
    const before = requests.received('arm', 'NetworkInterfaces_CreateOrUpdate');
    expect(await ground.admit(admitted, attempt())).toEqual({ kind: 'done', value: admitted });
    expect(requests.received('arm', 'NetworkInterfaces_CreateOrUpdate')).toBe(before);
  }, 60_000);

  test('is not concluded from an accepted request: what fails late is told', async () => {
    const landing = await land();
    const error = { status: 429, code: 'RetryableError', isLate: true };
    ground.fixture.sandbox.faults.add({ service: 'arm', action: 'NetworkInterfaces_CreateOrUpdate', error });
    await expect(ground.admit(landing, attempt())).rejects.toMatchObject({
      code: 'target-unavailable',
      retryable: true,
    });
    await untilDone(() => ground.admit(landing, attempt()));
  }, 60_000);

  test('goes on where the quarantine group cannot be removed', async () => {
    const landing = await land();
    ground.fixture.sandbox.rights.deny('Microsoft.Network/networkSecurityGroups/delete');
    const context = attempt();
    await untilDone(() => ground.admit(landing, context));
    expect(context.logs).toMatchObject([
      {
        level: 'warn',
        message: expect.stringMatching(/networkSecurityGroups\/delete.*web01 is not affected/),
      },
    ]);
    expect(await ground.kinds(RUN)).toContain('security-group');
  }, 60_000);

  test.each<[string, object, object]>([
    [
      'without a group says what to set',
      {},
      { code: 'target-refused', message: expect.stringContaining('`group`') },
    ],
    [
      'to a group that is away is refused',
      { group: 'nobody' },
      { code: 'target-refused', message: expect.stringContaining('nobody') },
    ],
  ])(
    '%s',
    async (_, to, error) => {
      const landing = await land();
      await expect(ground.admit(landing, attempt(), { ...to })).rejects.toMatchObject(error);
      expect((await nicOf(landing)).networkSecurityGroup?.id).toMatch(new RegExp(`/${QUARANTINE}$`));
    },
    60_000,
  );

  test('of a machine that is gone, or of another in its place, is refused', async () => {
    const landing = await land();
    const other = { ...landing, ref: { ...landing.ref, vmId: 'another' } };
    const error = { code: 'target-missing', message: expect.stringContaining('landfall discard') };
    await expect(ground.admit(other, attempt())).rejects.toMatchObject(error);
    await ground.fixture.compute.virtualMachines.delete(GROUP, 'web01', { forceDeletion: true, ...FAST });
    await expect(ground.admit(landing, attempt())).rejects.toMatchObject(error);
  }, 60_000);
});
