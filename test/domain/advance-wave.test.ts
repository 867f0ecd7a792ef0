import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advanceWave } from '../../src/domain/advance-wave.ts';
import { MACHINE_STATUSES } from '../../src/domain/machine-record.ts';
import { isEnded, type MachineCounts, type RunCounts, type RunRecord } from '../../src/domain/run-record.ts';
import { PLAIN_RUN, PLAIN_WAVE } from '../fakes/records.ts';

const NOW = 1_000;
const NONE: RunCounts = {
  ...(Object.fromEntries(MACHINE_STATUSES.map((status) => [status, 0])) as MachineCounts),
  groups: {},
};

function run(
  options: { machines?: number; archivedAt?: number | null; endedAt?: number | null } = {},
): RunRecord {
  const { machines = 3, archivedAt = null, endedAt = null } = options;
  return {
    id: 'run-1',
    version: 4,
    wave: {
      name: 'demo',
      file: '/w/demo.yaml',
      ...PLAIN_WAVE,
      digest: '',
      source: { kind: 'files', site: null, options: {} },
      target: { kind: 'aws', options: {} },
      machines: [],
      limits: { machines, tries: 5 },
    },
    status: 'running',
    machines: [],
    createdAt: 0,
    plannedBy: null,
    endedAt,
    archivedAt,
    ...PLAIN_RUN,
  };
}

const anyCounts: fc.Arbitrary<RunCounts> = fc
  .record(
    Object.fromEntries(MACHINE_STATUSES.map((status) => [status, fc.nat(50)])) as {
      [status in keyof MachineCounts]: fc.Arbitrary<number>;
    },
  )
  .map((counts) => ({ ...counts, groups: {} }));

describe('how a run stands', () => {
  it.each<[string, Partial<MachineCounts>]>([
    ['running', { waiting: 1, landed: 5, failed: 1 }],
    ['running', { moving: 1, cancelled: 2 }],
    ['landed', { landed: 3 }],
    ['partial', { landed: 1, failed: 1 }],
    ['partial', { landed: 1, cancelled: 1 }],
    ['partial', { landed: 1, discarded: 1 }],
    ['failed', { failed: 2, cancelled: 1 }],
    ['cancelled', { cancelled: 2 }],
    ['cancelled', { discarded: 1, cancelled: 1 }],
  ])('is %s with %o', (status, counts) => {
    expect(advanceWave(run(), { ...NONE, ...counts }, NOW).record.status).toBe(status);
  });

  it('is at rest exactly when no machine waits or moves, and then has an end', () => {
    fc.assert(
      fc.property(anyCounts, (counts) => {
        const { record } = advanceWave(run(), counts, NOW);
        const isLive = counts.waiting + counts.moving + counts.held + counts['rolling-back'] > 0;
        expect(!isEnded(record.status)).toBe(isLive);
        expect(record.endedAt).toBe(isLive ? null : NOW);
      }),
    );
  });

  it('keeps the time of its end however often it is looked at, and loses it when a retry revives it', () => {
    const ended = advanceWave(run(), { ...NONE, failed: 1 }, NOW).record;
    expect(advanceWave(ended, { ...NONE, failed: 1 }, NOW + 5).record).toEqual(ended);
    expect(advanceWave(ended, { ...NONE, waiting: 1 }, NOW + 9).record).toMatchObject({
      status: 'running',
      endedAt: null,
    });
  });
});

describe('machines to wake', () => {
  it('never exceed those that wait nor the free places of the wave', () => {
    fc.assert(
      fc.property(anyCounts, fc.integer({ min: 1, max: 60 }), (counts, machines) => {
        const { machinesToWake } = advanceWave(run({ machines }), counts, NOW);
        expect(machinesToWake).toBeGreaterThanOrEqual(0);
        expect(machinesToWake).toBeLessThanOrEqual(counts.waiting);
        expect(counts.moving + machinesToWake).toBeLessThanOrEqual(Math.max(machines, counts.moving));
      }),
    );
  });

  it('are as many as fit: the run cannot stand still while a place is free', () => {
    fc.assert(
      fc.property(anyCounts, fc.integer({ min: 1, max: 60 }), (counts, machines) => {
        const { machinesToWake } = advanceWave(run({ machines }), counts, NOW);
        const isFull = counts.moving + machinesToWake >= machines;
        expect(isFull || machinesToWake === counts.waiting).toBe(true);
      }),
    );
  });

  it('are none in an archived run, which offers no jobs either', () => {
    const advance = advanceWave(run({ archivedAt: 900 }), { ...NONE, waiting: 3 }, NOW);
    expect(advance).toMatchObject({ machinesToWake: 0, view: { isLive: false, isOpen: false, tries: 5 } });
  });
});
