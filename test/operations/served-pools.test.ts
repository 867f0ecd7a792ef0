import { describe, expect, test } from 'vitest';
import { POOLS } from '../../src/domain/job.ts';
import { unservedBy } from '../../src/operations/served-pools.ts';
import { type Heartbeat, UNSAID } from '../../src/state/heartbeats.ts';

const worker = (site: string | null, pools: readonly (typeof POOLS)[number][] = POOLS): Heartbeat => ({
  id: 'w',
  host: 'h',
  pid: 1,
  site,
  pools: pools.map((stage) => ({ stage, concurrency: 1 })),
  schedules: false,
  ...UNSAID,
});

describe('the pools that a run needs', () => {
  test('are served by one worker that has them all', () => {
    expect(unservedBy([worker(null)], null)).toEqual([]);
  });

  test('of a site are served at that site only; import and validate anywhere', () => {
    expect(unservedBy([worker(null)], 'dc1')).toEqual([
      { pools: ['export', 'convert', 'upload', 'power'], site: 'dc1' },
    ]);
    const atSite = worker('dc1', ['export', 'convert', 'upload', 'power']);
    expect(unservedBy([worker('dc2', ['import', 'validate']), atSite], 'dc1')).toEqual([]);
  });

  test('hold power, without which nothing is admitted', () => {
    const workers = [worker(null, ['export', 'convert', 'upload', 'import', 'validate'])];
    expect(unservedBy(workers, null)).toEqual([{ pools: ['power'], site: null }]);
  });

  test('are not served by a worker of a site for waves without one', () => {
    expect(unservedBy([worker('dc1')], null)).toEqual([
      { pools: ['export', 'convert', 'upload', 'power'], site: null },
    ]);
  });
});
