/** What operators do to machines of a run: retry and cancel. Idempotent; workers elsewhere hear of it. */
import { cancelMachine, retryMachine } from '../domain/machine-changes.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Conductor } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';

export type SteerDeps = { state: State; conductor: Conductor };

/** Gives the machines that changed; those to which a retry does not apply (moving, landed) are left alone. */
export async function retryMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: SteerDeps,
): Promise<string[]> {
  return steer({ ...of, action: 'retry' }, deps, (record) => retryMachine(record));
}

export async function cancelMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: SteerDeps,
): Promise<string[]> {
  return steer({ ...of, action: 'cancel' }, deps, (record, now) => cancelMachine(record, now));
}

async function steer(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null; action: string },
  { state, conductor }: SteerDeps,
  change: (record: MachineRecord, now: number) => MachineRecord | null,
): Promise<string[]> {
  const changed: string[] = [];
  for (const { machine } of of.machines) {
    const at = { run: of.run.id, machine: machine.name };
    if ((await conductor.change(at, (record, _view, now) => change(record, now))) === null) continue;
    changed.push(machine.name);
    await recordAction(state, { ...at, action: of.action, reason: of.reason });
  }
  return changed;
}
