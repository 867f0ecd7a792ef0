import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Machine } from '../../src/domain/machine.ts';
import type { Finding, PlannedMachine } from '../../src/domain/ports.ts';
import { checkMachines } from '../../src/stages/preflight.ts';
import { createMachine, createRecord, MIB } from '../fakes/machine.ts';
import { createFakeTarget } from '../fakes/target.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-preflight-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function planned(...machines: Machine[]): PlannedMachine[] {
  return machines.map((machine) => ({ machine, wave: createRecord({ machine }).plan }));
}

async function check(machines: Machine[], options: { target?: object; machinesAtOnce?: number } = {}) {
  const target = { ...createFakeTarget({ containers: ['vmdk-stream-optimized'] }), ...options.target };
  const { machinesAtOnce = 2 } = options;
  // The folder need not exist yet.
  const stagingFolder = join(folder, 'not/yet');
  return checkMachines({ planned: planned(...machines), target, stagingFolder, machinesAtOnce });
}

function bad(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ level }) => level !== 'ok');
}

it('finds nothing wrong with a machine that fits, and says what it is', async () => {
  const findings = await check([createMachine({ disks: 2 })]);
  expect(bad(findings)).toEqual([]);
  expect(findings).toContainEqual(
    expect.objectContaining({ subject: 'web01', message: 'bios, 2 disks, 2 MiB' }),
  );
});

it.each<[string, Machine, string, RegExp]>([
  ['a disk over the limit', createMachine({ diskBytes: 2 ** 45 }), 'web01 disk 0', /32 TiB.*at most 16 TiB/],
  ['a disk without size', createMachine({ diskBytes: 0 }), 'web01 disk 0', /no size/],
  ['too many disks', createMachine({ disks: 21 }), 'web01', /21 disks.*takes 20/],
  ['two disks that boot', bootsTwice(), 'web01', /2 disks that boot/],
])('refuses %s', async (_, machine, subject, message) => {
  const found = bad(await check([machine])).filter(({ subject }) => !subject.startsWith('staging'));
  expect(found).toEqual([
    { level: 'fail', subject, message: expect.stringMatching(message), remedy: expect.any(String) },
  ]);
});

function bootsTwice(): Machine {
  const machine = createMachine({ disks: 2 });
  return { ...machine, disks: machine.disks.map((disk) => ({ ...disk, boots: true })) };
}

it('refuses a firmware that the target does not know', async () => {
  const { capabilities } = createFakeTarget();
  const findings = await check([{ ...createMachine(), firmware: 'uefi' }], {
    target: { capabilities: { ...capabilities, firmware: ['bios'] } },
  });
  expect(bad(findings)).toMatchObject([{ level: 'fail', message: expect.stringContaining('uefi') }]);
});

it('refuses a disk for which the target has no container, in its words', async () => {
  const containerFor = () => {
    throw new LandfallError({ code: 'target-refused', message: 'no container takes 1 MiB' });
  };
  expect(bad(await check([createMachine()], { target: { containerFor } }))).toMatchObject([
    { level: 'fail', subject: 'web01 disk 0', message: 'no container takes 1 MiB' },
  ]);
});

it('refuses two machines of one name, and one source machine under two names', async () => {
  const web = createMachine();
  const sameName = { ...web, identity: 'files:/vm/other' };
  expect(bad(await check([web, sameName]))).toMatchObject([
    { level: 'fail', message: expect.stringContaining('named web01') },
  ]);
  const sameSource = { ...web, name: 'web02' };
  expect(bad(await check([web, sameSource]))).toMatchObject([
    { level: 'fail', message: expect.stringMatching(/web02 and web01 are the same/) },
  ]);
});

it('refuses a machine for which staging has no room, and warns where several have none at once', async () => {
  const huge = createMachine({ diskBytes: 2 ** 44 });
  expect(bad(await check([huge]))).toMatchObject([
    {
      level: 'fail',
      subject: expect.stringContaining('staging'),
      message: expect.stringContaining('16.2 TiB'),
    },
  ]);
  const many = Array.from({ length: 100_000 }, (_, index) =>
    createMachine({ name: `m${index}`, diskBytes: 200 * MIB }),
  );
  expect(bad(await check(many, { machinesAtOnce: 100_000 }))).toMatchObject([
    { level: 'warn', remedy: expect.stringContaining('limits.machines') },
  ]);
  expect(bad(await check(many, { machinesAtOnce: 1 }))).toEqual([]);
});

it('expects no more than the file of a thin disk holds', async () => {
  const file = join(folder, 'thin.ova');
  await writeFile(file, 'x'.repeat(10_000));
  const machine = createMachine({ diskBytes: 2 ** 44 });
  const disks = machine.disks.map((disk) => ({
    ...disk,
    format: 'vmdk' as const,
    file: `${file}!disk1.vmdk`,
  }));
  expect(bad(await check([{ ...machine, disks }]))).toEqual([]);
});

it('says nothing of staging where no machine could be read', async () => {
  expect(await check([])).toEqual([]);
});

it('expects nothing of a blank disk', async () => {
  const machine = createMachine({ diskBytes: 2 ** 44 });
  const disks = machine.disks.map((disk) => ({ ...disk, format: 'blank' as const, file: null }));
  expect(bad(await check([{ ...machine, disks }]))).toEqual([]);
});
