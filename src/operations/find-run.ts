/** Operators name a run by its id, or by its wave: then the wave's unarchived run is meant. */
import { LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { State } from '../state/state.ts';

const MOST_NAMED = 5;
/** More archived runs are not looked through for a wave's name. */
const MOST_READ = 200;

/** Throws `not-found`. */
export async function findRun(state: State, idOrWave: string): Promise<RunRecord> {
  const run = (await state.runs.get(idOrWave)) ?? (await findRunOfWave(state, idOrWave));
  if (run !== null) return run;
  const known = (await state.runs.list()).slice(0, MOST_READ);
  const read = await Promise.all(known.map((id) => state.runs.get(id)));
  const archived = read.flatMap((each) => (each?.wave.name === idOrWave ? [each] : []));
  if (archived.length > 0) throw onlyArchived(idOrWave, archived.slice(0, MOST_NAMED));
  throw new LandfallError({
    code: 'not-found',
    message: `There is no run ${idOrWave}. ${known.length === 0 ? 'Nothing was run yet: start with `landfall run WAVE`.' : `The newest runs: ${known.slice(0, MOST_NAMED).join(', ')}.`}`,
  });
}

/** The run's machines, or the one that was named. Throws `not-found`. */
export async function findMachines(
  state: State,
  run: RunRecord,
  machine: string | undefined,
): Promise<MachineRecord[]> {
  if (machine !== undefined && !run.machines.includes(machine)) {
    throw new LandfallError({
      code: 'not-found',
      message: `Run ${run.id} has no machine ${machine}; it has ${run.machines.slice(0, 10).join(', ')}${run.machines.length > 10 ? ' …' : ''}.`,
    });
  }
  return state.machines.all(run.id, machine === undefined ? run.machines : [machine]);
}

/** The wave's unarchived run, if there is one. */
export async function findRunOfWave(state: State, wave: string): Promise<RunRecord | null> {
  const id = await state.runs.ofWave(wave);
  return id === null ? null : state.runs.get(id);
}

function onlyArchived(wave: string, runs: readonly RunRecord[]): LandfallError {
  const named = runs.map(({ id, status, endedAt }) => `${id} (${status}, ended ${describeTime(endedAt)})`);
  return new LandfallError({
    code: 'not-found',
    message: `Wave ${wave} has no current run; archived: ${named.join(', ')}. Name one by its id.`,
  });
}

function describeTime(at: number | null): string {
  return at === null
    ? 'at an unknown time'
    : `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
