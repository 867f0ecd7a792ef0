import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  imageName,
  isObjectKey,
  machineOfKey,
  objectKey,
  quarantineName,
  tagsFor,
} from '../../../../adapters/targets/aws/names.ts';
import type { LedgerEntry } from '../../../../src/domain/ports.ts';

function entryOf(machine: string, token = 'a'.repeat(32)): LedgerEntry {
  return {
    run: 'run-1',
    machine,
    thing: 'upload:0',
    generation: 1,
    token,
    state: 'intended',
    ref: null,
    at: 0,
  };
}

describe('keys of objects', () => {
  test('say run, machine, disk and token', () => {
    const key = objectKey('landfall/', { entry: entryOf('web01'), container: 'raw' });
    expect(key).toBe(`landfall/run-1/web01/disk-0-${'a'.repeat(32)}.raw`);
    expect(isObjectKey(key)).toBe(true);
  });

  test('are plain ASCII without surprises for any machine, and give its name back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (machine) => {
        const key = objectKey('landfall/', { entry: entryOf(machine), container: 'raw' });
        expect(key).toMatch(/^[A-Za-z0-9._/-]+$/);
        expect(machineOfKey(key, { prefix: 'landfall/', run: 'run-1' })).toBe(machine);
      }),
    );
  });

  test('of others are nobody of ours', () => {
    const of = { prefix: 'landfall/', run: 'run-1' };
    expect(machineOfKey('landfall/run-1/web01/notes.txt', of)).toBeNull();
    expect(machineOfKey(`landfall/run-10/web01/disk-0-${'a'.repeat(32)}.raw`, of)).toBeNull();
  });
});

test('names of AMIs keep to the length and the letters that AWS takes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), (machine) => {
      expect(imageName(entryOf(machine))).toMatch(/^[A-Za-z0-9()[\] ./'@_-]{3,128}$/);
    }),
  );
});

test('the quarantine group is the same for all machines of a run', () => {
  expect(quarantineName('run 1/ä')).toBe('landfall-quarantine-run_1__');
});

test("Landfall's own tags win over the wave's", () => {
  const tags = tagsFor({
    entry: entryOf('web01'),
    tags: { 'landfall:run': 'run-1' },
    extra: { 'landfall:run': 'forged', Team: 'shop' },
    name: 'web01',
  });
  expect(tags).toContainEqual({ Key: 'landfall:run', Value: 'run-1' });
  expect(tags).toContainEqual({ Key: 'Team', Value: 'shop' });
  expect(tags).toHaveLength(4);
});
