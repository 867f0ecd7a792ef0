import { expect, test } from 'vitest';
import { createLazyTarget } from '../../src/domain/lazy-target.ts';
import type { Target } from '../../src/domain/ports.ts';

const known = {} as Pick<Target, 'capabilities' | 'uploadForm'>;
const question = [{ run: 'r', machines: [] }, new AbortController().signal] as unknown as Parameters<
  Target['preflight']
>;

test('is loaded when something is asked, once', async () => {
  let loads = 0;
  const target = createLazyTarget({
    ...known,
    load: async () => {
      loads += 1;
      return { preflight: async () => [] } as unknown as Target;
    },
  });
  expect(loads).toBe(0);
  await Promise.all([target.preflight(...question), target.preflight(...question)]);
  expect(loads).toBe(1);
});

test('is loaded again where it could not be', async () => {
  let loads = 0;
  const target = createLazyTarget({
    ...known,
    load: async () => {
      loads += 1;
      if (loads === 1) throw new Error('no memory');
      return { preflight: async () => [] } as unknown as Target;
    },
  });
  await expect(target.preflight(...question)).rejects.toThrow('no memory');
  expect(await target.preflight(...question)).toEqual([]);
});
