import { describe, expect, it } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import { type Job, stepKey } from '../../src/domain/job.ts';
import { failStep, finishStep } from '../../src/domain/machine-changes.ts';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { LANDING, NOW, OPEN, outputOf, waitingMachine } from './machine-story.ts';

function moving(): MachineRecord {
  return { ...waitingMachine(), status: 'moving' };
}

function finish(record: MachineRecord, job: Job): MachineRecord {
  return finishStep(record, { job, output: outputOf(job), now: NOW }) ?? record;
}

const namesOf = (jobs: readonly Job[]): string[] => jobs.map(stepKey);

describe('advanceMachine', () => {
  it('offers stage after stage, all disks of a stage at once, and lands', () => {
    let record = moving();
    const offered: string[][] = [];
    for (let rounds = 0; rounds < 10 && record.status === 'moving'; rounds += 1) {
      const advance = advanceMachine(record, OPEN, NOW);
      offered.push(namesOf(advance.jobs));
      record = advance.jobs.reduce(finish, advance.record);
    }
    expect(offered).toEqual([
      ['export/0', 'export/1'],
      ['convert'],
      ['upload/0', 'upload/1'],
      ['import'],
      ['validate'],
      ['admit'],
      [],
    ]);
    expect(record).toMatchObject({ status: 'landed', endedAt: NOW, landing: LANDING, proof: 'proof.json' });
  });

  it('offers the same jobs again until they are done, so that an add that was lost is made up for', () => {
    const first = advanceMachine(moving(), OPEN, NOW);
    const second = advanceMachine(first.record, OPEN, NOW + 1);
    expect(second.jobs).toEqual(first.jobs);
    expect(second.record).toEqual(first.record);
  });

  it('does not begin a stage before the one before is whole', () => {
    const { record, jobs } = advanceMachine(moving(), OPEN, NOW);
    const half = jobs.slice(0, 1).reduce(finish, record);
    expect(namesOf(advanceMachine(half, OPEN, NOW).jobs)).toEqual(['export/1']);
  });

  it('holds a try back until it is due, and says when to look again', () => {
    const { record, jobs } = advanceMachine(moving(), OPEN, NOW);
    const [first] = jobs;
    if (first === undefined) throw new Error('nothing was offered');
    const error = new LandfallError({ code: 'target-unavailable', message: 'busy', retryable: true });
    const failed = failStep(record, { job: first, error, now: NOW, tries: 3 });
    if (failed === null) throw new Error('not failed');
    const notBefore = failed.steps['export/0']?.notBefore ?? 0;
    const early = advanceMachine(failed, OPEN, notBefore - 1);
    expect(early).toMatchObject({ wakeAt: notBefore });
    expect(namesOf(early.jobs)).toEqual(['export/1']);
    const due = advanceMachine(failed, OPEN, notBefore);
    expect(due).toMatchObject({
      wakeAt: null,
      jobs: [
        { disk: '0', try: 2 },
        { disk: '1', try: 1 },
      ],
    });
  });

  it('fails the machine with the error of the step that failed, and offers nothing more', () => {
    const { record, jobs } = advanceMachine(moving(), OPEN, NOW);
    const [first] = jobs;
    if (first === undefined) throw new Error('nothing was offered');
    const error = new LandfallError({ code: 'source-not-off', message: 'it runs' });
    const failed = failStep(record, { job: first, error, now: NOW, tries: 3 });
    if (failed === null) throw new Error('not failed');
    const advance = advanceMachine(failed, OPEN, NOW + 5);
    expect(advance).toMatchObject({
      jobs: [],
      wakeAt: null,
      record: { status: 'failed', endedAt: NOW + 5, error: { code: 'source-not-off' } },
    });
    expect(advanceMachine(advance.record, OPEN, NOW + 9)).toEqual({
      record: advance.record,
      jobs: [],
      wakeAt: null,
    });
  });

  it.each(['waiting', 'landed', 'failed', 'cancelled', 'discarded'] as const)(
    'offers nothing to a machine that is %s',
    (status) => {
      const record = { ...moving(), status };
      expect(advanceMachine(record, OPEN, NOW)).toEqual({ record, jobs: [], wakeAt: null });
    },
  );

  it('offers nothing in a run that is closed, and changes nothing', () => {
    const record = moving();
    expect(advanceMachine(record, { ...OPEN, isOpen: false }, NOW)).toEqual({
      record,
      jobs: [],
      wakeAt: null,
    });
  });
});
