import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { describeEvent, describeLine, renderMachine } from '../../src/cli/run-view.ts';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { StoredEvent } from '../../src/domain/events.ts';
import { beginStep, failStep, finishStep, startMachine } from '../../src/domain/machine-changes.ts';
import type { MachineRecord, Step } from '../../src/domain/machine-record.ts';
import { machineLine } from '../../src/operations/machine-line.ts';
import type { StepProgress } from '../../src/state/progress-board.ts';
import { makeRecords, makeRun, makeWave, OPEN_VIEW } from '../fakes/records.ts';

const NOW = 100_000;
const VIEW = OPEN_VIEW;

function movingRecord(): MachineRecord {
  const [record] = makeRecords(makeRun('r', makeWave('w', ['shop-db'])), 2);
  const moving = record && startMachine(record, NOW);
  if (!moving) throw new Error('no record');
  return advanceMachine(moving, VIEW, NOW).record;
}

function begun(record: MachineRecord): MachineRecord {
  return advanceMachine(record, VIEW, NOW).jobs.reduce(
    (now, job) => beginStep(now, job, NOW - 12_000) ?? now,
    record,
  );
}

const progress = (step: string, doneBytes: number, over: Partial<StepProgress> = {}): StepProgress => ({
  machine: 'shop-db',
  step,
  doneBytes,
  totalBytes: 1000e6,
  bytesPerSecond: 50e6,
  note: 'uploading',
  at: NOW,
  ...over,
});

describe('a machine’s line', () => {
  test('adds up its disks: bytes, rate, time to go', () => {
    const record = begun(movingRecord());
    const snapshot = {
      machines: [record],
      progress: [progress('export/0', 250e6), progress('export/1', 750e6)],
      now: NOW,
    };
    const line = machineLine(record, snapshot);
    expect(line).toMatchObject({
      stage: 'export',
      doneBytes: 1000e6,
      totalBytes: 2000e6,
      bytesPerSecond: 100e6,
      etaMs: 10_000,
    });
    const text = stripVTControlCharacters(renderMachine(line, 10));
    expect(text).toMatch(/^▶ shop-db {5}export {4}█{12}░{12} {2}50%\s+100 MB\/s\s+ETA 0:10 {2}uploading$/);
    expect(describeLine(line)).toBe('shop-db export 50% 954 MiB of 1.9 GiB, 100 MB/s, ETA 0:10, uploading');
  });

  test('tells the note of the disk that is under way, not of one that is done; what was left out stays', () => {
    let record = begun(movingRecord());
    const [job] = advanceMachine(record, VIEW, NOW).jobs;
    const image = { site: null, bytes: 1, layout: { kind: 'blank' } } as const;
    if (job === undefined) throw new Error('no job');
    record = finishStep(record, { job, output: { stage: 'export', disk: '0', image }, now: NOW }) ?? record;
    const done = progress('export/0', 1000e6, { note: 'uploaded', zeroBytes: 3 });
    const underWay = progress('export/1', 340e6, { note: 'uploading', zeroBytes: 4 });
    const line = machineLine(record, { progress: [done, underWay], now: NOW });
    expect(line).toMatchObject({ note: 'uploading', doneBytes: 1340e6, totalBytes: 2000e6, zeroBytes: 7 });
    // Nothing of a disk that is done moves any more.
    expect(line.bytesPerSecond).toBe(50e6);
  });

  test('counts the bytes of a disk whose turn has not come', () => {
    const record: MachineRecord = {
      ...movingRecord(),
      prepared: { '1': { form: { kind: 'blocks', blockBytes: 524_288 }, dataBytes: 600e6 } },
    };
    const upload = (disk: string, state: Step['state']): [string, Step] => {
      const step = { ...record.steps['upload/0'], disk, state } as Step;
      return [`upload/${disk}`, step];
    };
    const steps = Object.fromEntries([upload('0', 'active'), upload('1', 'active')]);
    const shown = [progress('upload/0', 1000e6)];
    const line = machineLine({ ...record, steps }, { progress: shown, now: NOW });
    expect(line).toMatchObject({ doneBytes: 1000e6, totalBytes: 1600e6 });
    // After a retry nothing is told of a disk that was done before.
    const isDone = Object.fromEntries([upload('0', 'active'), upload('1', 'done')]);
    const left = machineLine({ ...record, steps: isDone }, { progress: shown, now: NOW });
    expect(left.totalBytes).toBe(1000e6);
  });

  test('shows no rate that is long past, and the time spent where the end is unknown', () => {
    const record = begun(movingRecord());
    const old = progress('export/0', 250e6, { at: NOW - 60_000, totalBytes: 0, doneBytes: 0 });
    const line = machineLine(record, { progress: [old], now: NOW });
    expect(line).toMatchObject({ bytesPerSecond: 0, etaMs: null, elapsedMs: 12_000, note: '' });
    expect(stripVTControlCharacters(renderMachine(line, 7))).toMatch(/^▶ shop-db {2}export\s+0:12$/);
  });

  test('leaves its room to the note where nobody knows how far a step is', () => {
    const record = begun(movingRecord());
    const note = 'waiting for 3 of 3 lines, 3 checks pending';
    const step = progress('export/0', 0, { totalBytes: 0, bytesPerSecond: 0, note });
    const line = machineLine(record, { progress: [step], now: NOW });
    const text = stripVTControlCharacters(renderMachine(line, 8));
    expect(text).toContain(note);
    expect(text.length).toBeLessThanOrEqual(80);
  });

  test('says why and when a step is tried again', () => {
    const record = movingRecord();
    const [job] = advanceMachine(record, VIEW, NOW).jobs;
    if (job === undefined) throw new Error('no job');
    const error = new LandfallError({ code: 'target-unavailable', message: 'S3 is busy', retryable: true });
    const failed = failStep(record, { job, error, now: NOW, tries: 3 });
    if (failed === null) throw new Error('not failed');
    const line = machineLine(failed, { progress: [], now: NOW });
    expect(line.note).toMatch(/^try 2 in 0:0[12]: S3 is busy$/);
  });

  test('of a machine at rest tells how it ended', () => {
    const record: MachineRecord = {
      ...movingRecord(),
      status: 'landed',
      landing: { kind: 'instance', id: 'i-1', ref: {} },
    };
    const line = machineLine(record, { progress: [], now: NOW });
    expect(stripVTControlCharacters(renderMachine(line, 7))).toBe('✔ shop-db  landed    i-1');
  });

  test('does not count the bytes of another stage', () => {
    let record = begun(movingRecord());
    for (const job of advanceMachine(record, VIEW, NOW).jobs) {
      const image = { site: null, bytes: 1, layout: { kind: 'blank' } } as const;
      record =
        finishStep(record, { job, output: { stage: 'export', disk: job.disk ?? '', image }, now: NOW }) ??
        record;
    }
    record = advanceMachine(record, VIEW, NOW).record;
    const line = machineLine(record, { progress: [progress('export/0', 5)], now: NOW });
    expect(line).toMatchObject({ stage: 'convert', doneBytes: 0, totalBytes: 0 });
  });
});

describe('an event’s line', () => {
  const at = { id: '1-0', at: new Date(2026, 0, 2, 3, 4, 5).getTime(), run: 'r' };
  test.each<[StoredEvent, string | null]>([
    [{ ...at, type: 'run', status: 'landed' }, '03:04:05 run r landed'],
    [{ ...at, type: 'step', machine: 'm', step: 'upload/0', state: 'offered', try: 1, error: null }, null],
    [
      { ...at, type: 'step', machine: 'm', step: 'upload/0', state: 'started', try: 1, error: null },
      '03:04:05 m upload/0 started',
    ],
    [
      {
        ...at,
        type: 'step',
        machine: 'm',
        step: 'import',
        state: 'failed',
        try: 1,
        error: { code: 'import-failed', message: 'no kernel', retryable: false, context: {} },
      },
      '03:04:05 m import failed: no kernel',
    ],
    [
      { ...at, type: 'operator', machine: null, action: 'run', by: 'ann@host', reason: 'window' },
      '03:04:05 r run by ann@host (window)',
    ],
    [
      {
        ...at,
        type: 'log',
        machine: 'm',
        step: 'upload/0',
        level: 'warn',
        message: 'no checksums',
        fields: {},
      },
      '03:04:05 m upload/0 warn: no checksums',
    ],
  ])('%#', (event, line) => expect(describeEvent(event, at.at + 1000)).toBe(line));

  test('has its date where that is not today', () => {
    const event: StoredEvent = { ...at, type: 'run', status: 'landed' };
    expect(describeEvent(event, at.at + 24 * 3_600_000)).toBe('2026-01-02 03:04:05 run r landed');
  });

  test('of a failed machine leaves the reason to its step', () => {
    const error = { code: 'import-failed', message: 'no kernel', retryable: false, context: {} } as const;
    const event: StoredEvent = { ...at, type: 'machine', machine: 'm', status: 'failed', error };
    expect(describeEvent(event, at.at)).toBe('03:04:05 m failed (import-failed)');
  });
});
