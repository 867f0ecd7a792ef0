import { InvalidArgumentError } from 'commander';
import { expect, test } from 'vitest';
import { siteName } from '../../src/cli/site-name.ts';
import { nameSchema } from '../../src/domain/name.ts';

test('takes every site that a wave may name: none is left without workers', () => {
  for (const site of ['dc1', 'DC-2', 'dc_3', 'rack-4-', '5']) {
    expect(nameSchema.safeParse(site).success, site).toBe(true);
    expect(siteName(site)).toBe(site);
  }
});

test.each(['', 'dc:1', '-dc', 'dc 1', 'dc.1', 'x'.repeat(64)])(
  'refuses %j, which no wave may name',
  (site) => {
    expect(() => siteName(site)).toThrow(InvalidArgumentError);
  },
);
