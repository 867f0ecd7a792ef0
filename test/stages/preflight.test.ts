import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Machine } from '../../src/domain/machine.ts';
import type { Finding, PlannedMachine } from '../../src/domain/ports.ts';
import type { ExportMode } from '../../src/domain/wave.ts';
import { checkMachines } from '../../src/stages/preflight.ts';
import { createMachine, createRecord } from '../fakes/machine.ts';
import { createFakeTarget } from '../fakes/target.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-preflight-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function planned(machines: readonly Machine[], mode: ExportMode): PlannedMachine[] {
  return machines.map((machine) => ({ machine, wave: { ...createRecord({ machine }).plan, export: mode } }));
}

type CheckOptions = { target?: object; machinesAtOnce?: number; mode?: ExportMode };

async function check(machines: Machine[], options: CheckOptions = {}) {
  const target = { ...createFakeTarget({ containers: ['vmdk-stream-optimized'] }), ...options.target };
  const { machinesAtOnce = 2, mode = 'in-place' } = options;
  // The folder need not exist yet.
  const stagingFolder = join(folder, 'not/yet');
  return checkMachines({ planned: planned(machines, mode), target, stagingFolder, machinesAtOnce });
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
  const found = bad(await check([machine])).filter(({ subject }) => !subject.startsWith('digests'));
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
  const uploadForm = () => {
    throw new LandfallError({ code: 'target-refused', message: 'no container takes 1 MiB' });
  };
  expect(bad(await check([createMachine()], { target: { uploadForm } }))).toMatchObject([
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

it('refuses a spooled machine for which staging has no room, and warns where several have none at once', async () => {
  const huge = createMachine({ diskBytes: 2 ** 43 });
  expect(bad(await check([huge], { mode: 'spool' }))).toMatchObject([
    { level: 'fail', subject: expect.stringContaining('staging'), message: expect.stringContaining('8 TiB') },
  ]);
  expect(bad(await check([huge]))).toEqual([]);
  const many = Array.from({ length: 1_500 }, (_, index) =>
    createMachine({ name: `m${index}`, diskBytes: 2 ** 33 }),
  );
  expect(bad(await check(many, { mode: 'spool', machinesAtOnce: 1_500 }))).toMatchObject([
    { level: 'warn', remedy: expect.stringContaining('limits.machines') },
  ]);
  expect(bad(await check(many, { mode: 'spool', machinesAtOnce: 1 }))).toEqual([]);
});

it('counts what must be unpacked into staging, also where nothing is spooled', async () => {
  const machine = createMachine();
  const disks = machine.disks.map((disk) => ({ ...disk, unpackedBytes: 2 ** 43 }));
  expect(bad(await check([{ ...machine, disks }]))).toMatchObject([
    {
      level: 'fail',
      subject: expect.stringContaining('staging'),
      message: expect.stringContaining('8 TiB'),
      remedy: expect.stringContaining('unpack'),
    },
  ]);
  expect(await check([machine])).not.toContainEqual(
    expect.objectContaining({ subject: expect.stringContaining('staging') }),
  );
});

it('says what the digests take in Redis, and refuses what is over the budget', async () => {
  const machines = Array.from({ length: 3 }, (_, index) => {
    const machine = createMachine({ name: `m${index}`, diskBytes: 2 ** 43 });
    return machine;
  });
  expect(await check(machines, { machinesAtOnce: 2 })).toContainEqual({
    level: 'ok',
    subject: 'digests in Redis',
    message: 'up to 1 GiB while 16 TiB of data are uploaded',
    remedy: null,
  });
  expect(bad(await check(machines, { machinesAtOnce: 3 }))).toMatchObject([
    { level: 'fail', subject: 'digests in Redis', remedy: expect.stringContaining('limits.machines') },
  ]);
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
  expect(bad(await check([{ ...machine, disks }], { mode: 'spool' }))).toEqual([]);
});

it('says nothing of staging where no machine could be read', async () => {
  expect(await check([])).toEqual([]);
});

it('expects nothing of a blank disk', async () => {
  const machine = createMachine({ diskBytes: 2 ** 44 });
  const disks = machine.disks.map((disk) => ({ ...disk, format: 'blank' as const, file: null }));
  expect(bad(await check([{ ...machine, disks }], { mode: 'spool' }))).toEqual([]);
});
