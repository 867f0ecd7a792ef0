/** Which machines of a run an operator means: all, one, a group, or those that did not come through. */
import { LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { State } from '../state/state.ts';
import { findMachines } from './find-run.ts';

export type Selection =
  | { kind: 'all' }
  | { kind: 'machine'; machine: string }
  | { kind: 'group'; group: string }
  /** Failed, or held since they failed. Those that were rolled back run at their source: they are meant by name only. */
  | { kind: 'failing' };

/** In the order of the wave. Throws `not-found` for a machine or a group that the run does not have. */
export async function selectMachines(
  state: State,
  run: RunRecord,
  selection: Selection,
): Promise<MachineRecord[]> {
  switch (selection.kind) {
    case 'all':
      return findMachines(state, run, undefined);
    case 'machine':
      return findMachines(state, run, selection.machine);
    case 'group':
      return state.machines.all(run.id, machinesOfGroup(run, selection.group));
    case 'failing':
      return (await findMachines(state, run, undefined)).filter(isFailing);
    default:
      return selection satisfies never;
  }
}

/** `all machines`, `web01`, `group web`: for what is said of them. */
export function describeSelection(selection: Selection): string {
  switch (selection.kind) {
    case 'all':
      return 'all machines';
    case 'machine':
      return selection.machine;
    case 'group':
      return `group ${selection.group}`;
    case 'failing':
      return 'all that failed';
    default:
      return selection satisfies never;
  }
}

function machinesOfGroup(run: RunRecord, group: string): string[] {
  const names = run.wave.machines.filter((machine) => machine.group === group).map(({ name }) => name);
  if (names.length > 0) return names;
  const groups = Object.keys(run.wave.groups);
  throw new LandfallError({
    code: 'not-found',
    message: `Run ${run.id} has no machine in a group ${group}; ${groups.length === 0 ? 'its wave has no groups' : `its groups are ${groups.join(', ')}`}.`,
  });
}

/** It failed, or waits for a decision because it did. */
export function isFailing({ status, error }: MachineRecord): boolean {
  return status === 'failed' || (status === 'held' && error !== null);
}
