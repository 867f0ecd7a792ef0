/** What operators do to machines of a run: retry and cancel. Idempotent; workers elsewhere hear of it. */
import { LandfallError } from '../domain/errors.ts';
import { cancelMachine, retryMachine } from '../domain/machine-changes.ts';
import { isAtRest, type MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Conductor, MachineRef } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';
import { holdMachine } from './hold-machine.ts';
import { recordAction } from './operator.ts';

export type SteerDeps = { state: State; conductor: Conductor };

/**
 * Gives the machines that changed; those to which a retry does not apply (moving, landed) are left alone. Throws
 * `conflict` for an archived run and while somebody discards a machine.
 */
export async function retryMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: SteerDeps,
): Promise<string[]> {
  if (of.run.archivedAt !== null) throw archived(of.run);
  const changed: string[] = [];
  for (const { machine } of of.machines) {
    const at = { run: of.run.id, machine: machine.name, reason: of.reason };
    if (await retryOne(at, deps)) changed.push(machine.name);
  }
  return changed;
}

/** Waiting machines first: a slot that a moving one gives up must not start another that is about to be cancelled. */
export async function cancelMachines(
  of: { run: RunRecord; machines: readonly MachineRecord[]; reason: string | null },
  deps: SteerDeps,
): Promise<string[]> {
  const machines = of.machines.toSorted(
    (a, b) => Number(b.status === 'waiting') - Number(a.status === 'waiting'),
  );
  const changed: string[] = [];
  for (const { machine, status } of machines) {
    if (isAtRest(status)) continue;
    const at = { run: of.run.id, machine: machine.name };
    await recordAction(deps.state, { ...at, action: 'cancel', reason: of.reason });
    if ((await deps.conductor.change(at, (record, _view, now) => cancelMachine(record, now))) !== null)
      changed.push(machine.name);
  }
  return changed;
}

async function retryOne(
  { run, machine, reason }: MachineRef & { reason: string | null },
  { state, conductor }: SteerDeps,
): Promise<boolean> {
  // Nobody may discard it meanwhile.
  await using lease = await holdMachine(state, { run, machine });
  const record = await state.machines.get(run, machine);
  if (record === null || retryMachine(record) === null) return false;
  // Who did it comes before what it does, as the events are read.
  await recordAction(state, { run, machine, action: 'retry', reason });
  if ((await conductor.change({ run, machine }, retryMachine, lease)) === null) return false;
  await state.progress.clear(run, machine);
  return true;
}

function archived(run: RunRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Run ${run.id} is archived: its machines may belong to another run by now. Run the wave again: \`landfall run ${run.wave.file}\`.`,
    context: { run: run.id },
  });
}
