/** `run WAVE`: attaches to the wave's unarchived run, or makes a new one from a plan without failed findings. */
import { randomInt } from 'node:crypto';
import { LandfallError } from '../domain/errors.ts';
import { newMachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Conductor } from '../queue/conductor.ts';
import type { Queues } from '../queue/queues.ts';
import type { State } from '../state/state.ts';
import { archiveRun } from './archive-run.ts';
import { recordAction } from './operator.ts';
import type { Plan } from './plan.ts';

export type StartDeps = { state: State; queues: Queues; conductor: Conductor };

/** Letters and digits that are not mistaken for one another when a run's id is read aloud. */
const ID_LETTERS = '23456789abcdefghjkmnpqrstuvwxyz';
const ID_LENGTH = 5;

/** The wave's unarchived run, if there is one. */
export async function findRunOfWave(state: State, wave: string): Promise<RunRecord | null> {
  const id = await state.runs.ofWave(wave);
  return id === null ? null : state.runs.get(id);
}

/** Throws `machine-busy` or `conflict`; nothing is started then. */
export async function startRun(plan: Plan, deps: StartDeps): Promise<RunRecord> {
  const { state, conductor } = deps;
  const run: RunRecord = {
    id: newRunId(plan.wave.name),
    version: 0,
    wave: plan.wave,
    status: 'running',
    machines: plan.machines.map(({ machine }) => machine.name),
    createdAt: await state.clock.now(),
    endedAt: null,
    archivedAt: null,
  };
  const records = plan.machines.map(({ wave, machine }, position) =>
    newMachineRecord({ run: run.id, position, plan: wave, machine }),
  );
  await state.runs.create(run, records);
  await recordAction(state, { run: run.id, machine: null, action: 'run', reason: null });
  return conductor.advanceRun(run.id);
}

/** `--again`: archives the wave's ended run, so that a new one can be made. Throws `conflict` while it is running. */
export async function archiveEarlierRun(wave: string, deps: StartDeps): Promise<void> {
  const earlier = await findRunOfWave(deps.state, wave);
  if (earlier === null) return;
  if (earlier.status === 'running') {
    throw new LandfallError({
      code: 'conflict',
      message: `Wave ${wave} cannot be run again while its run ${earlier.id} is running. Let it end, or \`landfall cancel ${earlier.id}\` first.`,
      context: { run: earlier.id },
    });
  }
  await archiveRun(earlier.id, deps);
}

function newRunId(wave: string): string {
  const letters = Array.from({ length: ID_LENGTH }, () => ID_LETTERS[randomInt(ID_LETTERS.length)]);
  return `${wave.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}-${letters.join('')}`;
}
