/** Will it make the window: from what a run has shown, and from nothing else. */
import { describe, expect, it } from 'vitest';
import { type EstimateInput, estimateRun } from '../../src/domain/estimate.ts';
import type { StepStage } from '../../src/domain/job.ts';
import type { MachineRecord, MachineStatus } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { Wave } from '../../src/domain/wave.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';

const MIB = 1024 ** 2;
const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 28, 22, 30);
const CLOSES = NOW + 120 * MINUTE;
const SPEC = {
  kind: 'once',
  timezone: 'UTC',
  rollbackSeconds: 1_800,
  opens: '2026-11-28T22:00',
  closes: '2026-11-29T00:30',
} as const;

function runOf(names: readonly string[], over: Partial<Wave> = {}, run: Partial<RunRecord> = {}): RunRecord {
  const wave = { ...makeWave('w', names, { machines: 2 }), window: SPEC, ...over };
  return { ...makeRun('r', wave), window: { opensAt: NOW - 30 * MINUTE, closesAt: CLOSES }, ...run };
}

type Done = Partial<Record<StepStage, readonly [startedAt: number, endedAt: number]>>;

function through(record: MachineRecord, status: MachineStatus, done: Done): MachineRecord {
  const steps = Object.fromEntries(
    Object.entries(record.steps).map(([key, step]) => {
      const span = done[step.stage];
      if (span === undefined) return [key, step];
      return [key, { ...step, state: 'done' as const, startedAt: span[0], endedAt: span[1] }];
    }),
  );
  return { ...record, status, steps, startedAt: NOW - 60 * MINUTE };
}

/** Export and convert take no time, import 4 min, validate 5 min, admit 1 min. */
const LANDED: Done = {
  export: [0, 0],
  convert: [0, 0],
  upload: [0, 10 * MINUTE],
  import: [10 * MINUTE, 14 * MINUTE],
  validate: [14 * MINUTE, 19 * MINUTE],
  admit: [19 * MINUTE, 20 * MINUTE],
};
const TAIL = 10 * MINUTE;

/** The first has landed, the second is uploading, the others wait. Disks are of 64 MiB. */
function halfWay(names = ['a', 'b', 'c'], over: Partial<Wave> = {}): EstimateInput {
  const run = runOf(names, over);
  const [first, second, ...rest] = makeRecords(run);
  if (first === undefined || second === undefined) throw new Error('no records');
  const machines = [
    through(first, 'landed', LANDED),
    through(second, 'moving', { export: [0, 0], convert: [0, 0] }),
    ...rest.map((record) => ({ ...record, status: 'waiting' as const })),
  ];
  const progress = [
    { machine: 'a', step: 'upload/0', doneBytes: 32 * MIB, totalBytes: 32 * MIB },
    { machine: 'b', step: 'upload/0', doneBytes: 12 * MIB, totalBytes: 32 * MIB },
  ];
  return { run, machines, progress, samples: samplesOf(MIB / 60), everyMs: 10_000, limitSet: null, now: NOW };
}

function samplesOf(bytesPerSecond: number, count = 10): EstimateInput['samples'] {
  return Array.from({ length: count }, (_none, index) => ({
    at: NOW - (count - index) * 10_000,
    bytesPerSecond,
  }));
}

const minutes = (endsAt: number | null): number => Math.round(((endsAt ?? 0) - NOW) / MINUTE);

describe('an estimate', () => {
  it('is bytes left at the rate held, then import, boot and admit as measured in this run', () => {
    const told = estimateRun(halfWay());
    // 20 MiB of b, and 32 of c: half of a disk holds data, as was seen. A MiB takes a minute.
    expect(told.bytesLeft).toBe(52 * MIB);
    expect(minutes(told.endsAt)).toBe(52 + 10);
    expect(told.verdict).toBe('makes-it');
    expect(told.because.join(' ')).toContain('import 4 min 00 s, validate 5 min 00 s, admit 1 min 00 s');
  });

  it('counts machines at once: with one slot the next begins only when the one before has landed', () => {
    const told = estimateRun(halfWay(['a', 'b', 'c'], { limits: { machines: 1, tries: 3 } }));
    expect(minutes(told.endsAt)).toBe(20 + 10 + 32 + 10);
  });

  it('lets a machine begin only after those that it comes after', () => {
    const input = halfWay();
    const [a, b, c] = input.machines as [MachineRecord, MachineRecord, MachineRecord];
    const told = estimateRun({ ...input, machines: [a, b, { ...c, status: 'blocked', after: ['b'] }] });
    expect(minutes(told.endsAt)).toBe(20 + 10 + 32 + 10);
  });

  it('waits for the whole of a group', () => {
    const input = halfWay(['a', 'b', 'c', 'd']);
    const [a, b, c, d] = input.machines as MachineRecord[];
    const inGroup = (record: MachineRecord | undefined) =>
      ({ ...record, plan: { ...record?.plan, group: 'db' } }) as MachineRecord;
    const last = { ...d, status: 'blocked', after: ['db'] } as MachineRecord;
    const told = estimateRun({ ...input, machines: [inGroup(a), inGroup(b), inGroup(c), last] });
    expect(minutes(told.endsAt)).toBe(52 + 10 + 32 + 10);
  });

  it.each([
    [92, 'makes-it'],
    [91, 'at-risk'],
    [62, 'at-risk'],
    [61, 'misses-it'],
  ] as const)('that ends in 62 min, of a window that closes in %i, says %s', (closesIn, verdict) => {
    const input = halfWay();
    const window = { opensAt: NOW - MINUTE, closesAt: NOW + closesIn * MINUTE };
    const told = estimateRun({ ...input, run: { ...input.run, window } });
    expect([told.verdict, minutes(told.endsAt)]).toEqual([verdict, 62]);
  });

  it('heeds a limit that is lower than what was held, and a lower one that the wave plans for later', () => {
    const limited = estimateRun({ ...halfWay(), limitSet: MIB / 120 });
    expect([minutes(limited.endsAt), limited.bytesPerSecond]).toEqual([104 + 10, Math.round(MIB / 120)]);
    const spans = [{ fromMinute: 23 * 60, toMinute: 24 * 60, bytesPerSecond: MIB / 120 }];
    const limits = { machines: 2, tries: 3, bandwidthPlan: { timezone: 'UTC', spans } };
    // 30 MiB until 23:00, then half as fast: the other 22 take 44 minutes.
    expect(minutes(estimateRun(halfWay(undefined, { limits })).endsAt)).toBe(30 + 44 + 10);
  });

  it('counts what of a step under way has passed, and of one that is late what the longest took', () => {
    const input = halfWay(['a', 'b']);
    const [a, b] = input.machines as [MachineRecord, MachineRecord];
    const importing = (sinceMs: number): MachineRecord => {
      const record = through(b, 'moving', { export: [0, 0], convert: [0, 0], upload: [0, 1] });
      const step = record.steps.import;
      if (step === undefined) throw new Error('no step');
      const active = { ...step, state: 'active' as const, startedAt: NOW - sinceMs };
      return { ...record, steps: { ...record.steps, import: active } };
    };
    const endsIn = (sinceMs: number) =>
      minutes(estimateRun({ ...input, machines: [a, importing(sinceMs)] }).endsAt);
    expect(endsIn(MINUTE)).toBe(3 + 5 + 1);
    expect(endsIn(60 * MINUTE)).toBe(0 + 5 + 1);
  });

  it('does not take a later pass, of which nobody knows how much it will carry, for another full copy', () => {
    const input = halfWay(['a', 'b']);
    const [a, b] = input.machines as [MachineRecord, MachineRecord];
    const first = b.steps['upload/0'];
    if (first === undefined) throw new Error('no step');
    const steps = { ...b.steps, 'upload/0@1': { ...first, pass: 1 } };
    const prepared = {
      '0': { form: { kind: 'parts' as const, container: 'raw' as const }, dataBytes: 32 * MIB },
    };
    const told = estimateRun({ ...input, machines: [a, { ...b, steps, prepared }] });
    expect([told.bytesLeft, minutes(told.endsAt)]).toEqual([20 * MIB, 20 + 10]);
  });

  it('begins with the window where that is still to open', () => {
    const input = halfWay(['a', 'b', 'c']);
    const [a, , c] = input.machines as [MachineRecord, MachineRecord, MachineRecord];
    const run = { ...input.run, window: { opensAt: NOW + 30 * MINUTE, closesAt: NOW + 300 * MINUTE } };
    expect(minutes(estimateRun({ ...input, run, machines: [a, c] }).endsAt)).toBe(30 + 32 + 10);
  });

  it('goes by whole uploads that are done while too little was seen of the line, by no old ones', () => {
    const input = halfWay();
    const [a, ...others] = input.machines as [MachineRecord, ...MachineRecord[]];
    const ended = (endedAt: number): MachineRecord =>
      through(a, 'landed', { ...LANDED, upload: [endedAt - 16 * MINUTE, endedAt] });
    const estimated = (endedAt: number, over: Partial<EstimateInput> = {}) =>
      estimateRun({ ...input, machines: [ended(endedAt), ...others], samples: samplesOf(MIB, 2), ...over });
    // 32 MiB in 16 minutes; 52 MiB are left.
    expect(minutes(estimated(NOW - MINUTE).endsAt)).toBe(26 + 10);
    // Whoever looks knows no progress of what is done: then what convert counted.
    const prepared = { '0': { form: { kind: 'blocks', blockBytes: MIB } as const, dataBytes: 32 * MIB } };
    const machines = [{ ...ended(NOW - MINUTE), prepared }, ...others];
    const progress = input.progress.filter(({ machine }) => machine !== 'a');
    expect(minutes(estimated(NOW - MINUTE, { machines, progress }).endsAt)).toBe(26 + 10);
    expect(estimated(NOW - 61 * MINUTE)).toMatchObject({ endsAt: null, verdict: 'unknown' });
  });

  it('is unknown, and says why, while no rate or no stage was measured', () => {
    const unmoved = estimateRun({ ...halfWay(), samples: samplesOf(MIB / 60, 2) });
    expect(unmoved).toMatchObject({ verdict: 'unknown', endsAt: null, bytesPerSecond: 0 });
    expect(unmoved.because.join(' ')).toContain('Too little was moved yet');
    const input = halfWay(['a', 'b']);
    const unproven = estimateRun({ ...input, machines: input.machines.slice(1) });
    expect(unproven).toMatchObject({ verdict: 'unknown', endsAt: null });
    expect(unproven.because.join(' ')).toContain('How long import, validate, admit take was not measured');
  });

  it('knows a miss also where it was not measured how much more will be missed', () => {
    const input = halfWay(['a', 'b']);
    const slow = estimateRun({
      ...input,
      machines: input.machines.slice(1),
      samples: samplesOf(MIB / 3_600),
    });
    expect(slow.verdict).toBe('misses-it');
  });

  it('is of no window where there is none, and of nothing once the run is over', () => {
    const input = halfWay();
    const open = { ...input.run, window: null, wave: { ...input.run.wave, window: null } };
    expect(estimateRun({ ...input, run: open })).toMatchObject({ verdict: 'none', bytesLeft: 52 * MIB });
    expect(minutes(estimateRun({ ...input, run: open }).endsAt)).toBe(62);
    const over = { ...input.run, status: 'partial' as const };
    expect(estimateRun({ ...input, run: over })).toEqual({
      endsAt: null,
      verdict: 'none',
      bytesLeft: 0,
      bytesPerSecond: 0,
      because: [],
    });
  });

  it('leaves out what cannot land by itself, and those that come after it, and says so', () => {
    const input = halfWay(['a', 'b', 'c', 'd']);
    const [a, b, c, d] = input.machines as MachineRecord[];
    const machines = [a, b, { ...c, status: 'held' }, { ...d, status: 'blocked', after: ['c'] }];
    const told = estimateRun({ ...input, machines: machines as MachineRecord[] });
    expect(minutes(told.endsAt)).toBe(20 + 10);
    expect(told.because).toEqual(
      expect.arrayContaining([
        'Not counted, since they are held: c.',
        'Not counted, since what they come after will not land by itself: d.',
      ]),
    );
    const nobody = machines.filter((record) => record !== b) as MachineRecord[];
    expect(estimateRun({ ...input, machines: nobody })).toMatchObject({ verdict: 'unknown', endsAt: null });
  });

  it('of 10,000 machines in chains is told within a second', () => {
    const names = Array.from({ length: 10_000 }, (_none, index) => `m${index}`);
    const input = halfWay(names, { limits: { machines: 100, tries: 3 } });
    const machines = input.machines.map((record, index) =>
      index < 200 ? record : { ...record, status: 'blocked' as const, after: [`m${index - 100}`] },
    );
    const started = performance.now();
    const told = estimateRun({ ...input, machines, samples: samplesOf(100 * MIB) });
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(told.endsAt).toBeGreaterThan(NOW + 90 * TAIL);
  });
});
