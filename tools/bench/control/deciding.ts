/** What it takes to decide a whole run, without a Redis: every decision that the conductor makes, and nothing else. */
import { advanceMachine } from '../../../src/domain/advance-machine.ts';
import { advanceWave } from '../../../src/domain/advance-wave.ts';
import { beginStep, finishStep, startMachine } from '../../../src/domain/machine-changes.ts';
import { MACHINE_STATUSES, type MachineStatus } from '../../../src/domain/machine-record.ts';
import type { RunCounts } from '../../../src/domain/run-record.ts';
import type { ControlRun } from './control-run.ts';
import { makeOutput } from './step-output.ts';

export type Deciding = { cpuMs: number; decisions: number; landed: number };

/** Of a machine: that it starts, and for each step that it begins and ends; each sees its run anew, and so does each start and landing. */
export function measureDeciding({ run, records }: ControlRun): Deciding {
  const counts = Object.fromEntries(MACHINE_STATUSES.map((status) => [status, 0])) as Record<
    MachineStatus,
    number
  >;
  counts.waiting = records.length;
  const groups = { web: { machines: records.length, landed: 0, troubled: 0 } };
  const all: RunCounts = { ...counts, groups };
  let decisions = 0;
  let landed = 0;
  const now = run.createdAt;
  const before = process.cpuUsage();
  const look = (): ReturnType<typeof advanceWave>['view'] => {
    decisions += 1;
    return advanceWave(run, all, now).view;
  };
  for (const waiting of records) {
    look();
    let advance = advanceMachine(startMachine(waiting, now) ?? waiting, look(), now);
    decisions += 1;
    for (let [job] = advance.jobs; job !== undefined; [job] = advance.jobs) {
      const begun = beginStep(advance.record, job, now) ?? advance.record;
      const record = advanceMachine(begun, look(), now).record;
      const done = finishStep(record, { job, output: makeOutput(job), now }) ?? record;
      advance = advanceMachine(done, look(), now);
      decisions += 2;
    }
    look();
    if (advance.record.status === 'landed') landed += 1;
  }
  const { user, system } = process.cpuUsage(before);
  return { cpuMs: (user + system) / 1000, decisions, landed };
}
