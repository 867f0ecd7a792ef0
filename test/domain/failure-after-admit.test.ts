import { expect, it } from 'vitest';
import { advanceMachine } from '../../src/domain/advance-machine.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import type { Job } from '../../src/domain/job.ts';
import { beginStep, failStep, finishStep, replaceLostJob } from '../../src/domain/machine-changes.ts';
import { type MachineRecord, mayServe } from '../../src/domain/machine-record.ts';
import { NOW, OPEN, outputOf, waitingMachine } from './machine-story.ts';

/** Up to the step that admits it, which is offered. */
function untilAdmit(): { record: MachineRecord; job: Job } {
  const machine = waitingMachine();
  let record: MachineRecord = {
    ...machine,
    status: 'moving',
    startedAt: NOW,
    plan: { ...machine.plan, onFailure: 'rollback' },
  };
  for (;;) {
    const advance = advanceMachine(record, OPEN, NOW);
    const [job] = advance.jobs;
    if (job?.stage === 'admit') return { record: advance.record, job };
    record = advance.jobs.reduce(
      (before, each) => finishStep(before, { job: each, output: outputOf(each), now: NOW }) ?? before,
      advance.record,
    );
  }
}

function afterFailure(context: Record<string, boolean>): MachineRecord {
  const { record, job } = untilAdmit();
  const error = new LandfallError({ code: 'check-failed', message: 'it does not serve', context });
  const failed = failStep(record, { job, error, now: NOW, tries: 3 });
  if (failed === null) throw new Error('not failed');
  return advanceMachine(failed, OPEN, NOW).record;
}

it('rolls back by itself what was never in service, and leaves the rest to a person', () => {
  expect(afterFailure({}).status).toBe('rolling-back');
  expect(afterFailure({ isAdmitted: true })).toMatchObject({
    status: 'held',
    error: { code: 'check-failed' },
  });
});

it('leaves to a person what was being admitted when its worker died for good', () => {
  const { record, job } = untilAdmit();
  const begun = beginStep(record, job, NOW) ?? record;
  const lost = replaceLostJob(begun, { job, now: NOW, tries: 1 }) ?? begun;
  expect(advanceMachine(lost, OPEN, NOW).record).toMatchObject({
    status: 'held',
    error: { code: 'job-lost' },
  });
});

it('tells whether a landing may have been in service, also after a retry', () => {
  const { record } = untilAdmit();
  const admit = record.steps.admit;
  if (admit === undefined) throw new Error('no admit');
  const admitAs = (change: object) => ({
    ...record,
    steps: { ...record.steps, admit: { ...admit, ...change } },
  });
  expect(mayServe(record)).toBe(false);
  expect(mayServe(admitAs({ startedAt: NOW }))).toBe(true);
  expect(mayServe(admitAs({ startedAt: null, try: 2, state: 'pending' }))).toBe(true);
});
