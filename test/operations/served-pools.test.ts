import { describe, expect, test } from 'vitest';
import { POOLS } from '../../src/domain/job.ts';
import { unservedBy } from '../../src/operations/served-pools.ts';
import type { Heartbeat } from '../../src/state/heartbeats.ts';

const worker = (site: string | null, pools: readonly (typeof POOLS)[number][] = POOLS): Heartbeat => ({
  id: 'w',
  host: 'h',
  pid: 1,
  site,
  pools: pools.map((stage) => ({ stage, concurrency: 1 })),
  schedules: false,
});

describe('the pools that a run needs', () => {
  test('are served by one worker that has them all', () => {
    expect(unservedBy([worker(null)], { site: null, isControlled: true })).toEqual([]);
  });

  test('of a site are served at that site only; import and validate anywhere', () => {
    expect(unservedBy([worker(null)], { site: 'dc1', isControlled: false })).toEqual([
      { pools: ['export', 'convert', 'upload'], site: 'dc1' },
    ]);
    expect(
      unservedBy([worker('dc2', ['import', 'validate']), worker('dc1', ['export', 'convert', 'upload'])], {
        site: 'dc1',
        isControlled: false,
      }),
    ).toEqual([]);
  });

  test('hold power only where the source turns machines off and on', () => {
    const workers = [worker(null, ['export', 'convert', 'upload', 'import', 'validate'])];
    expect(unservedBy(workers, { site: null, isControlled: false })).toEqual([]);
    expect(unservedBy(workers, { site: null, isControlled: true })).toEqual([
      { pools: ['power'], site: null },
    ]);
  });

  test('of a worker of a site do not serve waves without one', () => {
    expect(unservedBy([worker('dc1')], { site: null, isControlled: false })).toEqual([
      { pools: ['export', 'convert', 'upload'], site: null },
    ]);
  });
});
