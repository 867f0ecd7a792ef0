import { expect, test } from 'vitest';
import { createLazyTarget } from '../../src/domain/lazy-target.ts';
import type { Target } from '../../src/domain/ports.ts';

test('a load that failed is tried again, and one that worked is kept', async () => {
  let loads = 0;
  const target = createLazyTarget({
    capabilities: {} as Target['capabilities'],
    uploadForm: (() => ({})) as unknown as Target['uploadForm'],
    load: async () => {
      loads += 1;
      if (loads === 1) throw new Error('EMFILE');
      return { findTagged: async () => [] } as unknown as Target;
    },
  });
  const { signal } = new AbortController();
  await expect(target.findTagged('run-1', signal)).rejects.toThrow('EMFILE');
  expect(await target.findTagged('run-1', signal)).toEqual([]);
  await target.findTagged('run-1', signal);
  expect(loads).toBe(2);
});
