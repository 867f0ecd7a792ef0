import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { instanceTypeFor } from '../../../../adapters/targets/aws/instance-type.ts';

const GIB = 2 ** 30;

describe('instanceTypeFor', () => {
  test.each([
    [1, 0.25, 't3.nano'],
    [1, 1, 't3.micro'],
    [2, 4, 't3.medium'],
    [2, 6, 'm6i.large'],
    [2, 16, 'r6i.large'],
    [4, 8, 'c6i.xlarge'],
    [4, 16, 'm6i.xlarge'],
    [3, 30, 'r6i.xlarge'],
    [16, 64, 'm6i.4xlarge'],
    [128, 1024, 'r6i.32xlarge'],
  ])('%i cpus and %d GiB: %s', (cpus, memoryGib, type) => {
    expect(instanceTypeFor({ cpus, memoryBytes: memoryGib * GIB })).toBe(type);
  });

  test('more than any common type has: none, so that the wave must name one', () => {
    expect(instanceTypeFor({ cpus: 2, memoryBytes: 4096 * GIB })).toBeNull();
  });

  test('never less than the machine has', () => {
    const memoryPerCpu: Record<string, number> = { c6i: 2, m6i: 4, r6i: 8 };
    const cpusOf: Record<string, number> = { large: 2, xlarge: 4 };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 128 }), fc.integer({ min: 1, max: 256 }), (cpus, memoryGib) => {
        const [family = '', size = ''] = (
          instanceTypeFor({ cpus, memoryBytes: memoryGib * GIB }) ?? ''
        ).split('.');
        if (family === 't3') return;
        const has = cpusOf[size] ?? Number.parseInt(size, 10) * 4;
        expect(has).toBeGreaterThanOrEqual(cpus);
        expect(has * (memoryPerCpu[family] ?? 0)).toBeGreaterThanOrEqual(memoryGib);
      }),
    );
  });
});
