import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isOfRun,
  labelOf,
  quarantineName,
  resourceName,
  tagsFor,
  tagValue,
  vmName,
} from '../../../../adapters/targets/azure/names.ts';

/** https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules */
const DISK = /^[A-Za-z0-9_.-]{1,80}$/;
const NETWORK = /^[A-Za-z0-9](?:[\w.-]{0,78}\w)?$/;
const MACHINE =
  /^[^\\/"'[\]:|<>+=;,?*@&~!#$%^()_{}\s.-](?:[^\\/"'[\]:|<>+=;,?*@&~!#$%^()_{}\s]{0,62}[^\\/"'[\]:|<>+=;,?*@&~!#$%^()_{}\s.-])?$/;

const TOKEN = 'a'.repeat(32);
const anyName = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('-', 'Ä_Ö', '..', 'x'.repeat(200)),
);

describe('whatever a machine is called', () => {
  test('its disks, snapshots and interfaces get names that Azure takes and that end with the token', () => {
    fc.assert(
      fc.property(anyName, anyName, (machine, thing) => {
        const name = resourceName({ machine, token: TOKEN }, { label: labelOf(`disk:${thing}`) });
        expect(name).toMatch(DISK);
        expect(name).toMatch(NETWORK);
        expect(name.endsWith(`-${TOKEN}`)).toBe(true);
      }),
    );
  });

  test('its virtual machine gets a name that Azure takes', () => {
    fc.assert(
      fc.property(anyName, fc.boolean(), (name, isWindows) => {
        const made = vmName({ name, isWindows });
        expect(made).toMatch(MACHINE);
        expect(made.length).toBeLessThanOrEqual(isWindows ? 15 : 64);
      }),
    );
  });

  test('its tags are no longer than Azure takes, and tell the run', () => {
    fc.assert(
      fc.property(anyName, anyName, (run, machine) => {
        const tags = tagsFor({ entry: { run, machine, token: TOKEN }, extra: undefined });
        for (const value of Object.values(tags)) expect(value.length).toBeLessThanOrEqual(256);
        expect(isOfRun(tags, run)).toBe(true);
      }),
    );
  });
});

test('a run of any name has a quarantine group of a name that Azure takes', () => {
  fc.assert(
    fc.property(anyName, (run) => {
      expect(quarantineName(run)).toMatch(NETWORK);
    }),
  );
});

test('names that Azure takes stay as they are', () => {
  expect(vmName({ name: 'web-01', isWindows: false })).toBe('web-01');
  expect(vmName({ name: 'WIN2019', isWindows: true })).toBe('WIN2019');
  expect(resourceName({ machine: 'web-01', token: TOKEN }, { label: 'disk-0' })).toBe(
    `web-01-disk-0-${TOKEN}`,
  );
});

test('disks of one machine differ in their names, also where they differ late', () => {
  const name = (disk: string): string =>
    resourceName({ machine: 'x'.repeat(100), token: TOKEN }, { label: labelOf(`disk:${disk}`) });
  expect(name('0')).not.toBe(name('1'));
});

test('a tag is found whatever the case of its name', () => {
  expect(tagValue({ 'Landfall-Run': 'run-1' }, 'landfall-run')).toBe('run-1');
  expect(tagValue({ other: 'run-1' }, 'landfall-run')).toBeNull();
  expect(isOfRun({ 'landfall-run': 'run-1' }, 'run-10')).toBe(false);
});

test('a tag of the wave does not replace one of ours, nor one that Azure takes for the same', () => {
  const entry = { run: 'run-1', machine: 'web01', token: TOKEN };
  expect(
    tagsFor({ entry, extra: { owner: 'me', 'landfall-run': 'theirs', 'Landfall-Machine': 'db' } }),
  ).toEqual({
    owner: 'me',
    'landfall-run': 'run-1',
    'landfall-machine': 'web01',
    'landfall-token': TOKEN,
  });
});

test('the quarantine groups of two runs have two names, however long those are', () => {
  const long = 'w'.repeat(100);
  const names = [`${long}-a`, `${long}-b`, 'run.1', 'run-1'].map(quarantineName);
  expect(new Set(names).size).toBe(4);
  for (const name of names) expect(name.length).toBeLessThanOrEqual(80);
});
