/** Takes machines back to their source on an operator's word: what they made at the target goes, and the source runs again. */
import { LandfallError } from '../domain/errors.ts';
import { cancelMachine, rollBackMachine } from '../domain/machine-changes.ts';
import { type MachineRecord, mayServe } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { holdMachine } from './hold-machine.ts';
import { recordAction } from './operator.ts';
import { type MachinesAction, type SteerDeps, waitingFirst } from './steer.ts';

export type RollBack = MachinesAction & {
  /** Machines that landed may hold data that is nowhere else: it is deleted with them. */
  discardsLandingData: boolean;
};

export type RolledBack = {
  /** On their way back now. */
  machines: readonly string[];
  /** Never begun: nothing to take back, and they will not begin. */
  cancelled: readonly string[];
  /** On their way back already, or back. */
  already: readonly string[];
};

/**
 * What is refused is refused before anything is done. Throws `conflict` for an archived run, for machines that are committed, for landed ones
 * without `discardsLandingData`, and for a single machine that has not begun.
 */
export async function rollBackMachines(of: RollBack, deps: SteerDeps): Promise<RolledBack> {
  const { machines } = of;
  refuseRollBack(of);
  const done = { machines: [] as string[], cancelled: [] as string[], already: [] as string[] };
  // What waits goes first: it would take the slots of those that go back.
  for (const record of waitingFirst(machines)) {
    const { name } = record.machine;
    if (record.startedAt === null) {
      if (await keepFromBeginning(of, record, deps)) done.cancelled.push(name);
      // It began at this very moment.
      else if (await rollBackOne(of, record, deps)) done.machines.push(name);
      else done.already.push(name);
    } else if (await rollBackOne(of, record, deps)) done.machines.push(name);
    else done.already.push(name);
  }
  return done;
}

/** What `rollBackMachines` throws before it does anything. */
export function refuseRollBack({
  run,
  machines,
  discardsLandingData,
}: Pick<RollBack, 'run' | 'machines' | 'discardsLandingData'>): void {
  refuseArchived(run);
  refuseCommitted(run, machines);
  if (!discardsLandingData) refuseLanded(run, machines);
  const [only] = machines;
  if (machines.length === 1 && only?.startedAt === null) throw notBegun(run, only);
}

/** Machines that need one of these and are not among them: they may be left without it. */
export function findDependents(
  run: RunRecord,
  back: ReadonlySet<string>,
  all: readonly MachineRecord[],
): string[] {
  const groups = new Set(
    run.wave.machines.flatMap(({ name, group }) => (back.has(name) && group !== null ? [group] : [])),
  );
  return all
    .filter(({ machine, plan, status }) => {
      const isIn = status === 'landed' || status === 'moving';
      return isIn && !back.has(machine.name) && plan.after.some((name) => back.has(name) || groups.has(name));
    })
    .map(({ machine }) => machine.name);
}

async function rollBackOne(
  { run, reason, discardsLandingData }: RollBack,
  { machine: { name: machine } }: MachineRecord,
  { state, conductor, by }: SteerDeps,
): Promise<boolean> {
  // Nobody may discard or retry it meanwhile.
  await using lease = await holdMachine(state, { run: run.id, machine });
  const change = (record: MachineRecord): MachineRecord | null => {
    // It landed while we looked: nobody said that it may be lost.
    if (holdsLandingData(record) && !discardsLandingData) return null;
    return rollBackMachine(record, null);
  };
  const record = await state.machines.get(run.id, machine);
  if (record === null) return false;
  if (holdsLandingData(record) && !discardsLandingData) throw landed(run, [machine]);
  if (change(record) === null) return false;
  // Who did it comes before what it does, as the events are read.
  const action = holdsLandingData(record) ? 'rollback --discard-landing-data' : 'rollback';
  await recordAction(state, { run: run.id, machine, action, by, reason });
  if ((await conductor.change({ run: run.id, machine }, change, lease)) === null) return false;
  await state.progress.clear(run.id, machine);
  return true;
}

async function keepFromBeginning(
  { run, reason }: RollBack,
  { machine: { name: machine }, status }: MachineRecord,
  { state, conductor, by }: SteerDeps,
): Promise<boolean> {
  if (status === 'cancelled') return true;
  await recordAction(state, { run: run.id, machine, action: 'cancel', by, reason });
  const changed = await conductor.change({ run: run.id, machine }, (record, _view, now) =>
    record.startedAt === null ? cancelMachine(record, now) : null,
  );
  return changed !== null;
}

function refuseArchived({ id, archivedAt, wave }: RunRecord): void {
  if (archivedAt === null) return;
  throw new LandfallError({
    code: 'conflict',
    message: `Run ${id} is archived: its machines may belong to another run by now, so it takes none back. Turn a machine on at its source by hand, once it is certain that nothing of wave ${wave.name} runs in its place.`,
    context: { run: id },
  });
}

function refuseCommitted({ id }: RunRecord, machines: readonly MachineRecord[]): void {
  const committed = machines
    .filter(({ committedAt }) => committedAt !== null)
    .map(({ machine }) => machine.name);
  if (committed.length === 0) return;
  throw new LandfallError({
    code: 'conflict',
    message: `Nothing was rolled back: ${committed.join(', ')} of ${id} ${committed.length === 1 ? 'is' : 'are'} committed, and there is no way back after \`landfall commit\`. Name the other machines.`,
    context: { run: id },
  });
}

function refuseLanded(run: RunRecord, machines: readonly MachineRecord[]): void {
  const names = machines.filter(holdsLandingData).map(({ machine }) => machine.name);
  if (names.length > 0) throw landed(run, names);
}

/** Also one that failed its checks after it was admitted. */
export function holdsLandingData(record: MachineRecord): boolean {
  const { status, landing } = record;
  if (status === 'rolling-back' || status === 'rolled-back') return false;
  return status === 'landed' || (landing !== null && mayServe(record));
}

function landed({ id }: RunRecord, names: readonly string[]): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Nothing was rolled back: ${names.join(', ')} of ${id} may be in service where ${names.length === 1 ? 'it' : 'they'} landed. A rollback deletes the landing with all that was written there since, and the source runs again as it was when it was shut down. Say that this may be lost with --discard-landing-data, or name the other machines.`,
    context: { run: id },
  });
}

function notBegun({ id }: RunRecord, record: MachineRecord): LandfallError {
  const { name } = record.machine;
  return new LandfallError({
    code: 'conflict',
    message: `${name} of ${id} was never begun (it is ${record.status}): nothing was done to it, so nothing can be taken back. \`landfall cancel ${id} ${name}\` keeps it from beginning.`,
    context: { run: id, machine: name },
  });
}
