/** What pre-flight finds of one machine: its name, its disks, its size. `refused` of the contract's ground has more. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../../../src/domain/json.ts';
import type { Disk } from '../../../../src/domain/machine.ts';
import { FAST, fixedVhd, GROUP } from '../../../sandbox/azure/fixture.ts';
import type { MachineTraits } from '../machines.ts';
import { openPreflightGround, type PreflightGround } from './preflight-ground.ts';

const GIB = 2 ** 30;
const TIB = 2 ** 40;

let ground: PreflightGround;

beforeAll(async () => {
  ground = await openPreflightGround();
}, 60_000);
afterAll(() => ground[Symbol.asyncDispose](), 60_000);

describe('a good machine', () => {
  test('is said to land, with the size that it gets', async () => {
    const findings = await ground.look({ traits: { cpus: 2, memoryBytes: 6 * GIB, diskCount: 3 } });
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings).toContainEqual({
      level: 'ok',
      subject: 'web01',
      message: 'can land as Standard_B2ms (2 cpus, 8 GiB) in landfall-vnet/servers with 3 disks',
      remedy: null,
    });
  });
});

describe('a name', () => {
  test('that Azure does not take is changed, and that is said', async () => {
    expect(await ground.warnings({ traits: { name: 'ERP_App.1 (old)' } })).toMatchObject([
      {
        subject: 'ERP_App.1 (old): virtual machine ERP-App-1-old',
        message: 'Azure does not take ERP_App.1 (old) as a name: it will be called ERP-App-1-old',
        remedy: expect.stringContaining('`name`'),
      },
    ]);
  });

  test('of a Windows guest is cut to 15 characters, and that is said', async () => {
    const traits = { name: 'accounting-server-03', os: 'windows2019srv_64Guest' };
    expect(await ground.warnings({ traits })).toMatchObject([
      { message: expect.stringContaining('it will be called accounting-serv') },
    ]);
    expect(await ground.warnings({ to: { name: 'acc03' }, traits })).toEqual([]);
  });

  test('that another virtual machine has is refused, and told whose it is', async () => {
    await makeMachine('taken', {});
    await makeMachine('landed', { 'landfall-run': 'run-7', 'landfall-machine': 'old01' });
    expect(await ground.failures({ traits: { name: 'taken' } })).toMatchObject([
      { subject: 'taken: virtual machine taken', message: 'there is one of this name already' },
    ]);
    expect(await ground.failures({ to: { name: 'LANDED' } })).toMatchObject([
      {
        message: 'there is one of this name already, made by run run-7',
        remedy: expect.stringMatching(
          /^Give this machine another `name`.*`landfall discard run-7 old01 --landed`/,
        ),
      },
    ]);
    expect(await ground.failures({ to: { name: 'landed' }, traits: { name: 'old01' } })).toMatchObject([
      { message: 'this machine is there already, as run run-7 made it', landedBy: 'run-7' },
    ]);
    expect((await ground.failures({ to: { name: 'landed' } }))[0]).not.toHaveProperty('landedBy');
  });

  test('that the machine itself has holds neither its address nor its quota against it', async () => {
    // `landed` of the test above is old01; 21 cores are more than the subscription has.
    const privateIp = await addressOf('landed-nic');
    const own = ground.planned({ name: 'landed', privateIp }, { name: 'old01', cpus: 21 });
    expect(await ground.failures({ machines: [own] })).toMatchObject([{ landedBy: 'run-7' }]);
    const other = ground.planned({ privateIp }, { name: 'other' });
    expect(await ground.failures({ machines: [other] })).toMatchObject([
      { message: 'something has this address already' },
    ]);
  });

  test('or an address that two machines want is refused', async () => {
    const [first, second] = [
      ground.planned({ name: 'app', privateIp: '10.20.2.2' }, { name: 'a' }),
      ground.planned({ name: 'APP', privateIp: '10.20.2.2' }, { name: 'b' }),
    ];
    const failures = await ground.failures({ machines: [first, second] });
    expect(failures.filter(({ message }) => message.includes('want it'))).toMatchObject([
      { subject: `the name app in ${GROUP}`, message: 'a and b want it' },
      { subject: 'the address 10.20.2.2 in landfall-vnet/servers', message: 'a and b want it' },
    ]);
  });
});

describe('a disk', () => {
  const disk = (id: string, bytes: number, boots: boolean): Disk => ({
    id,
    bytes,
    boots,
    format: 'raw',
    file: `/images/${id}.raw`,
  });
  const with3TiB: MachineTraits = { disks: [disk('0', 3 * TIB, true)] };

  test.each<[string, MachineTraits]>([
    ['from which a UEFI machine boots', { ...with3TiB, firmware: 'uefi' }],
    ['with data only', { disks: [disk('0', GIB, true), disk('1', 3 * TIB, false)] }],
  ])('of 3 TiB %s is fine', async (_, traits) => {
    expect(await ground.failures({ traits })).toEqual([]);
  });

  test('of 3 TiB from which a BIOS machine boots is refused', async () => {
    expect(await ground.failures({ traits: with3TiB })).toMatchObject([
      {
        subject: 'web01 disk 0',
        message: expect.stringContaining('at most 2 TiB'),
        remedy: expect.stringContaining('UEFI'),
      },
    ]);
  });

  test('over 4095 GiB from which a machine boots is refused for either firmware', async () => {
    const traits: MachineTraits = { disks: [disk('0', 4095 * GIB + 512, true)], firmware: 'uefi' };
    expect(await ground.failures({ traits })).toMatchObject([
      { subject: 'web01 disk 0', message: expect.stringContaining('at most 4095 GiB') },
    ]);
    expect(await ground.failures({ traits: { ...traits, disks: [disk('0', 4095 * GIB, true)] } })).toEqual(
      [],
    );
  });

  test('of a type that the location does not have is refused', async () => {
    expect(await ground.failures({ to: { diskType: 'Premium_ZRS' } })).toMatchObject([
      {
        subject: 'web01: Premium_ZRS',
        message: 'there are no such disks in westeurope',
        remedy: expect.stringContaining('Premium_LRS, StandardSSD_LRS'),
      },
    ]);
  });
});

describe('a size', () => {
  test.each<[string, JsonObject, MachineTraits, string]>([
    [
      'that is sold out',
      { size: 'Standard_E2s_v5' },
      {},
      'does not sell it to this subscription in westeurope',
    ],
    [
      'of other processors',
      { size: 'Standard_D2ps_v5' },
      { firmware: 'uefi' },
      'its processors are not x86-64',
    ],
    [
      'without Premium disks',
      { size: 'Standard_A2_v2', diskType: 'Premium_LRS' },
      {},
      'takes no disks of Premium_LRS',
    ],
    [
      'without Trusted Launch',
      { size: 'Standard_M8ms', vtpm: true },
      { firmware: 'uefi' },
      'neither Secure Boot nor a virtual TPM',
    ],
    [
      'that is not sold in the zone',
      { size: 'Standard_D2s_v5', zone: '2' },
      {},
      'does not sell it to this subscription in zone 2 of westeurope',
    ],
  ])('%s is refused, and others are named', async (_, to, traits, message) => {
    const [finding, ...more] = await ground.failures({ to, traits });
    expect(more).toEqual([]);
    expect(finding?.subject).toBe(`web01: ${String(to.size)}`);
    expect(finding?.message).toContain(message);
    expect(finding?.remedy).toMatch(/`size` under `to:`: Standard_B1s \(1 cpu, 1 GiB\)/);
    expect(finding?.remedy).not.toContain(String(to.size));
  });

  test.each<[string, JsonObject, MachineTraits]>([
    ['without Premium disks takes others', { size: 'Standard_A2_v2', diskType: 'StandardSSD_LRS' }, {}],
    ['in a zone where it is sold', { size: 'Standard_D2s_v5', zone: '1' }, {}],
    ['in a zone that is given as a number', { size: 'Standard_D2s_v5', zone: 1 }, {}],
    ['without Trusted Launch boots by UEFI', { size: 'standard_m8ms' }, { firmware: 'uefi' }],
  ])('%s', async (_, to, traits) => {
    expect(await ground.failures({ to, traits })).toEqual([]);
  });

  test('of no machine so large is refused, and the largest one told', async () => {
    expect(await ground.failures({ traits: { cpus: 400 } })).toMatchObject([
      {
        remedy: expect.stringMatching(/largest common one there is Standard_E64a?s_v5 \(64 cpus, 512 GiB\)/),
      },
      { subject: expect.stringContaining('quotas') },
    ]);
  });

  test('that is smaller than the machine is warned of', async () => {
    const traits = { cpus: 4, memoryBytes: 8 * GIB };
    expect(await ground.warnings({ to: { size: 'Standard_B1s' }, traits })).toMatchObject([
      { message: 'it has 1 cpu and 1 GiB; the machine has 4 and 8 GiB' },
    ]);
  });
});

test('tags that are not free, or differ in case only, are refused', async () => {
  const tags = { 'landfall-run': 'x', AzureCost: 'x', team: 'a', Team: 'b', azimuth: 'fine' };
  expect(await ground.failures({ to: { tags } })).toMatchObject([
    { message: expect.stringContaining('the tag landfall-run is not free') },
    { message: expect.stringContaining('the tag AzureCost is not free') },
    { message: expect.stringContaining('the tag Team is there twice') },
  ]);
});

describe('Secure Boot', () => {
  test('of the source is kept and warned of, unless the wave says otherwise', async () => {
    const traits: MachineTraits = { firmware: 'uefi', secureBoot: true };
    expect(await ground.warnings({ traits })).toMatchObject([
      {
        subject: 'web01',
        message: expect.stringContaining('Secure Boot'),
        remedy: expect.stringContaining('`secureBoot: false`'),
      },
    ]);
    expect(await ground.warnings({ to: { secureBoot: false }, traits })).toEqual([]);
  });
});

/** One that nobody need boot from. */
async function addressOf(nic: string): Promise<string> {
  const { ipConfigurations = [] } = await ground.fixture.network.networkInterfaces.get(GROUP, nic);
  return ipConfigurations[0]?.privateIPAddress as string;
}

async function makeMachine(name: string, tags: Record<string, string>): Promise<void> {
  const { compute, network, sandbox, upload } = ground.fixture;
  const disk = await upload(`${name}-os`, fixedVhd(Buffer.from('x')));
  await ground.takeAddress(`${name}-nic`, { subnet: 'servers' });
  const nic = await network.networkInterfaces.get(GROUP, `${name}-nic`);
  await compute.virtualMachines.createOrUpdate(
    GROUP,
    name,
    {
      location: sandbox.location,
      tags,
      hardwareProfile: { vmSize: 'Standard_B1s' },
      storageProfile: { osDisk: { createOption: 'Attach', osType: 'Linux', managedDisk: { id: disk } } },
      networkProfile: { networkInterfaces: [{ id: nic.id as string }] },
    },
    FAST,
  );
}
