import { describe, expect, it } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Job } from '../../src/domain/job.ts';
import {
  beginStep,
  cancelMachine,
  currentStep,
  failStep,
  finishStep,
  markDiscarded,
  replaceLostJob,
  retryMachine,
  startMachine,
} from '../../src/domain/machine-changes.ts';
import { MACHINE_STATUSES, type MachineRecord, type MachineStatus } from '../../src/domain/machine-record.ts';
import { createJob, createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { OPEN_VIEW } from '../fakes/records.ts';

const NOW = 50_000;
const OPEN = OPEN_VIEW;
const image = rawImage('/vm/0.raw', 1);
const output = { stage: 'export', disk: '0', image } as const;
const passing = new LandfallError({ code: 'tool-failed', message: 'busy', retryable: true });
const outage = new LandfallError({ code: 'target-unavailable', message: 'away', retryable: true });
const full = new LandfallError({ code: 'no-space', message: 'full', retryable: true });
const lasting = new LandfallError({ code: 'target-denied', message: 'no' });
const job = createJob('export', '0');

function record(status: MachineStatus = 'moving', disks = 1): MachineRecord {
  return { ...createRecord({ machine: createMachine({ disks }) }), status };
}

/** A machine on the move whose export was offered. */
function offered(disks = 1): MachineRecord {
  return advanceMachine(record('moving', disks), OPEN, NOW).record;
}

function changed(next: MachineRecord | null): MachineRecord {
  if (next === null) throw new Error('the change did not apply');
  return next;
}

function fail(from: MachineRecord, error: LandfallError, of: Job = job): MachineRecord {
  return changed(failStep(from, { job: of, error, now: NOW, tries: 3 }));
}

describe('startMachine', () => {
  it('starts a waiting machine once', () => {
    const moving = changed(startMachine(record('waiting'), NOW));
    expect(moving).toMatchObject({ status: 'moving', startedAt: NOW });
    expect(startMachine(moving, NOW + 1)).toBeNull();
  });

  it('keeps the first start over a retry', () => {
    expect(startMachine({ ...record('waiting'), startedAt: 7 }, NOW)?.startedAt).toBe(7);
  });
});

describe('a late or second delivery', () => {
  const late: [string, MachineRecord, Job][] = [
    ['a job that was never offered', record(), job],
    ['a job of an older try', fail(offered(), passing), job],
    ['a job of a later try', offered(), { ...job, try: 2 }],
    ['a job of a step that is done', changed(finishStep(offered(), { job, output, now: NOW })), job],
    ['a job of a step that the machine does not have', offered(), { ...job, disk: '9' }],
    ['a job of another pass', offered(), { ...job, pass: 1 }],
    ...MACHINE_STATUSES.filter((status) => status !== 'moving').map(
      (status): [string, MachineRecord, Job] => [
        `a machine that is ${status}`,
        { ...offered(), status },
        job,
      ],
    ),
  ];

  it.each(late)('changes nothing: %s', (_, from, of) => {
    expect(currentStep(from, of)).toBeNull();
    expect(beginStep(from, of, NOW)).toBeNull();
    expect(finishStep(from, { job: of, output, now: NOW })).toBeNull();
    expect(failStep(from, { job: of, error: passing, now: NOW, tries: 3 })).toBeNull();
    expect(replaceLostJob(from, { job: of, now: NOW, tries: 3 })).toBeNull();
  });

  it('begins a step once', () => {
    const begun = changed(beginStep(offered(), job, NOW));
    expect(begun.steps['export/0']?.startedAt).toBe(NOW);
    expect(beginStep(begun, job, NOW + 1)).toBeNull();
  });
});

describe('finishStep', () => {
  it('takes up what each stage made', () => {
    expect(changed(finishStep(offered(), { job, output, now: NOW }))).toMatchObject({
      images: { '0': image },
      steps: { 'export/0': { state: 'done', endedAt: NOW, error: null, notBefore: null } },
    });
  });

  it('keeps what other disks made', () => {
    const first = changed(finishStep(offered(2), { job, output, now: NOW }));
    const second = { ...job, disk: '1' };
    const both = finishStep(first, { job: second, output: { ...output, disk: '1' }, now: NOW });
    expect(Object.keys(changed(both).images)).toEqual(['0', '1']);
  });

  it('forgets the error of the tries before', () => {
    const again = { ...job, try: 2 };
    const done = changed(finishStep(fail(offered(), passing), { job: again, output, now: NOW }));
    expect(done.steps['export/0']).toMatchObject({ state: 'done', error: null, notBefore: null });
  });
});

describe('failStep', () => {
  it('makes the next try due after a delay that grows', () => {
    const once = fail(offered(), passing);
    expect(once.steps['export/0']).toMatchObject({ state: 'active', try: 2, failures: 1 });
    const twice = fail(once, passing, { ...job, try: 2 });
    const [first, second] = [once, twice].map((from) => (from.steps['export/0']?.notBefore ?? 0) - NOW);
    expect(first).toBeGreaterThanOrEqual(1_500);
    expect(first).toBeLessThanOrEqual(2_000);
    expect(second).toBeGreaterThanOrEqual(3_000);
    expect(second).toBeLessThanOrEqual(4_000);
  });

  it('fails the step when its tries are used up', () => {
    let from = offered();
    for (const number of [1, 2, 3]) from = fail(from, passing, { ...job, try: number });
    expect(from.steps['export/0']).toMatchObject({ state: 'failed', failures: 3, endedAt: NOW });
    expect(from.steps['export/0']?.error?.code).toBe('tool-failed');
  });

  it.each([
    ['the target is away', outage],
    ['staging is full', full],
  ])('uses up no tries while %s, for six hours at most', (_, error) => {
    const hour = 3_600_000;
    let from = offered();
    let now = NOW;
    let number = 1;
    while (from.steps['export/0']?.state === 'active' && number < 1_000) {
      from = changed(failStep(from, { job: { ...job, try: number }, error, now, tries: 3 }));
      const { notBefore } = from.steps['export/0'] ?? {};
      expect((notBefore ?? now) - now).toBeLessThanOrEqual(120_000);
      now = (notBefore ?? now) + 1;
      number += 1;
    }
    expect(from.steps['export/0']).toMatchObject({ state: 'failed', failures: 0 });
    expect(now - NOW).toBeGreaterThan(6 * hour);
    expect(now - NOW).toBeLessThan(6.1 * hour);
  });

  it('counts anew once the step has worked for a while: blips in a long upload do not add up', () => {
    let from = offered();
    for (let number = 1; number <= 8; number += 1) {
      const now = NOW + number * 3_600_000;
      from = changed(failStep(from, { job: { ...job, try: number }, error: passing, now, tries: 3 }));
      expect(from.steps['export/0']).toMatchObject({ state: 'active', failures: 1 });
    }
  });

  it('fails the step at once when trying again cannot help', () => {
    expect(fail(offered(), lasting).steps['export/0']).toMatchObject({
      state: 'failed',
      failures: 1,
      try: 1,
    });
  });

  it('leaves the machine moving: advanceMachine ends it', () => {
    expect(fail(offered(), lasting).status).toBe('moving');
  });
});

describe('replaceLostJob', () => {
  it('asks for another try at once', () => {
    const replaced = changed(replaceLostJob(offered(), { job, now: NOW, tries: 3 }));
    expect(replaced.steps['export/0']).toMatchObject({
      try: 2,
      notBefore: null,
      error: { code: 'job-lost', message: expect.stringContaining('export/0 of web01') },
    });
    expect(advanceMachine(replaced, OPEN, NOW).jobs).toEqual([{ ...job, try: 2 }]);
  });

  it('gives up when jobs are lost again and again', () => {
    let from = offered();
    for (const number of [1, 2, 3]) {
      from = changed(replaceLostJob(from, { job: { ...job, try: number }, now: NOW, tries: 3 }));
    }
    expect(advanceMachine(from, OPEN, NOW).record).toMatchObject({
      status: 'failed',
      error: { code: 'job-lost' },
    });
  });
});

describe('cancelMachine', () => {
  it.each(MACHINE_STATUSES)('of a machine that is %s', (status) => {
    const isLive = ['blocked', 'waiting', 'moving', 'held'].includes(status);
    const cancelled = cancelMachine(record(status), NOW);
    expect(cancelled?.status ?? null).toBe(isLive ? 'cancelled' : null);
  });
});

describe('retryMachine', () => {
  it.each(['waiting', 'moving', 'landed'] as const)('changes nothing of a machine that is %s', (status) => {
    expect(retryMachine(record(status))).toBeNull();
  });

  it('goes on from the step that failed, with tries that were never used', () => {
    const exported = changed(finishStep(offered(), { job, output, now: NOW }));
    const converting = advanceMachine(exported, OPEN, NOW).record;
    const failed = advanceMachine(fail(converting, lasting, createJob('convert')), OPEN, NOW).record;
    expect(failed.status).toBe('failed');
    const again = changed(retryMachine(failed));
    expect(again).toMatchObject({ status: 'waiting', error: null, endedAt: null, images: { '0': image } });
    expect(again.steps['export/0']?.state).toBe('done');
    expect(again.steps.convert).toMatchObject({ state: 'pending', try: 2, failures: 0, error: null });
    expect(advanceMachine(changed(startMachine(again, NOW)), OPEN, NOW).jobs).toEqual([
      { ...createJob('convert'), try: 2 },
    ]);
  });

  it('leaves a step that was never offered at its first try, however often the machine is retried', () => {
    let from = offered();
    for (const number of [1, 2, 3]) {
      const failed = advanceMachine(fail(from, lasting, { ...job, try: number }), OPEN, NOW).record;
      from = advanceMachine(changed(startMachine(changed(retryMachine(failed)), NOW)), OPEN, NOW).record;
    }
    expect(from.steps['export/0']).toMatchObject({ state: 'active', try: 4 });
    expect(from.steps['upload/0']).toMatchObject({ state: 'pending', try: 1 });
    const discarded = changed(markDiscarded({ ...from, status: 'failed' }, NOW));
    expect(changed(retryMachine(discarded)).steps).toMatchObject({
      'export/0': { state: 'pending', try: 5 },
      'upload/0': { state: 'pending', try: 1 },
    });
  });

  it('does not offer again the job that another disk was at when the machine failed', () => {
    const failed = advanceMachine(fail(offered(2), lasting), OPEN, NOW).record;
    const again = changed(startMachine(changed(retryMachine(failed)), NOW));
    expect(advanceMachine(again, OPEN, NOW).jobs.map(({ disk, try: number }) => [disk, number])).toEqual([
      ['0', 2],
      ['1', 2],
    ]);
  });

  it('waits no longer before the next try than at first, however often it was tried before', () => {
    let from = offered();
    for (const number of [1, 2, 3]) from = fail(from, passing, { ...job, try: number });
    const failed = advanceMachine(from, OPEN, NOW).record;
    const again = advanceMachine(changed(startMachine(changed(retryMachine(failed)), NOW)), OPEN, NOW).record;
    const { notBefore } = fail(again, passing, { ...job, try: 4 }).steps['export/0'] ?? {};
    expect((notBefore ?? 0) - NOW).toBeLessThanOrEqual(2_000);
  });

  it('starts a discarded machine from its first step, with tries that were never used', () => {
    const exported = changed(finishStep(offered(), { job, output, now: NOW }));
    const discarded = changed(markDiscarded({ ...exported, status: 'failed' }, NOW));
    const again = changed(retryMachine(discarded));
    expect(again).toMatchObject({
      status: 'waiting',
      images: {},
      prepared: {},
      artifacts: {},
      landing: null,
    });
    expect(Object.values(again.steps).every((step) => step.state === 'pending')).toBe(true);
    expect(again.steps).toMatchObject({ 'export/0': { try: 2 }, convert: { try: 1 } });
    expect(Object.keys(again.steps)).toEqual(Object.keys(exported.steps));
  });
});

describe('markDiscarded', () => {
  it.each(MACHINE_STATUSES)('of a machine that is %s', (status) => {
    const isRemovable = ['landed', 'failed', 'held', 'cancelled', 'rolled-back'].includes(status);
    expect(markDiscarded(record(status), NOW)?.status ?? null).toBe(isRemovable ? 'discarded' : null);
  });

  it('forgets what stands no more at the target', () => {
    const landed = { ...record('landed'), landing: { kind: 'x', id: 'i-1', ref: {} } };
    expect(markDiscarded(landed, NOW)).toMatchObject({ landing: null, artifacts: {}, images: {} });
  });
});

it('changes no record in place', () => {
  const from = offered();
  const before = structuredClone(from);
  finishStep(from, { job, output, now: NOW });
  fail(from, passing);
  cancelMachine(from, NOW);
  advanceMachine(from, OPEN, NOW);
  expect(from).toEqual(before);
});
