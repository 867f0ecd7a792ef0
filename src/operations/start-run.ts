/** Makes a run from a plan. */
import { randomInt } from 'node:crypto';
import { LandfallError } from '../domain/errors.ts';
import { newMachineRecord } from '../domain/machine-record.ts';
import { nextWindow } from '../domain/next-window.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Wave } from '../domain/wave.ts';
import type { Window } from '../domain/window.ts';
import type { Conductor } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';
import type { Plan } from './plan.ts';

export type StartDeps = {
  state: State;
  conductor: Conductor;
  /** Who starts it: it goes into the audit trail. */
  by: string;
};

/** Letters and digits that are not mistaken for one another when a run's id is read aloud. */
const ID_LETTERS = '23456789abcdefghjkmnpqrstuvwxyz';
const ID_LENGTH = 5;

/** Throws `machine-busy`, `conflict`, or `preflight-refused` where its window has closed; nothing is started then. */
export async function startRun(plan: Plan, deps: StartDeps): Promise<RunRecord> {
  const { state, conductor, by } = deps;
  const { wave } = plan;
  const now = await state.clock.now();
  const run: RunRecord = {
    id: newRunId(wave.name),
    version: 0,
    wave,
    status: 'running',
    machines: plan.machines.map(({ machine }) => machine.name),
    createdAt: now,
    plannedBy: by,
    endedAt: null,
    archivedAt: null,
    window: firstWindow(wave, now),
    approval: null,
    hold: null,
    passedFailures: {},
  };
  const { isControlled } = plan;
  const records = plan.machines.map(({ wave: planned, machine }, position) =>
    newMachineRecord({ run: run.id, position, site: wave.source.site, plan: planned, machine, isControlled }),
  );
  await state.runs.create(run, records);
  await recordAction(state, { run: run.id, machine: null, action: 'run', by, reason: null });
  return conductor.advanceRun(run.id);
}

/** Without it, a run whose window has passed would be one that may begin at any time. */
function firstWindow({ name, file, window }: Wave, now: number): Window | null {
  if (window === null) return null;
  const first = nextWindow(window, now);
  if (first !== null) return first;
  throw new LandfallError({
    code: 'preflight-refused',
    message: `Wave ${name} was not started: its window has closed. Give it a new one in ${file}.`,
    context: { wave: name },
  });
}

function newRunId(wave: string): string {
  const letters = Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]);
  return `${wave.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${letters.join('')}`;
}
