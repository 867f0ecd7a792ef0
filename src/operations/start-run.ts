/** Makes a run from a plan. */
import { randomInt } from 'node:crypto';
import { newMachineRecord } from '../domain/machine-record.ts';
import { nextWindow } from '../domain/next-window.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Conductor } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';
import type { Plan } from './plan.ts';

export type StartDeps = { state: State; conductor: Conductor };

/** Letters and digits that are not mistaken for one another when a run's id is read aloud. */
const ID_LETTERS = '23456789abcdefghjkmnpqrstuvwxyz';
const ID_LENGTH = 5;

/** Throws `machine-busy` or `conflict`; nothing is started then. */
export async function startRun(plan: Plan, deps: StartDeps): Promise<RunRecord> {
  const { state, conductor } = deps;
  const { wave } = plan;
  const now = await state.clock.now();
  const run: RunRecord = {
    id: newRunId(wave.name),
    version: 0,
    wave,
    status: 'running',
    machines: plan.machines.map(({ machine }) => machine.name),
    createdAt: now,
    endedAt: null,
    archivedAt: null,
    window: wave.window === null ? null : nextWindow(wave.window, now),
    approval: null,
    hold: null,
    passedFailures: {},
  };
  const { isControlled } = plan;
  const records = plan.machines.map(({ wave: planned, machine }, position) =>
    newMachineRecord({ run: run.id, position, site: wave.source.site, plan: planned, machine, isControlled }),
  );
  await state.runs.create(run, records);
  await recordAction(state, { run: run.id, machine: null, action: 'run', reason: null });
  return conductor.advanceRun(run.id);
}

function newRunId(wave: string): string {
  const letters = Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]);
  return `${wave.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${letters.join('')}`;
}
