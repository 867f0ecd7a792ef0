/** After it there is no way back: the landing is the machine, and the source says so to whoever looks there. */
import { LandfallError, saveError } from '../domain/errors.ts';
import { commitMachine } from '../domain/machine-changes.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { SourceControl } from '../domain/ports.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { holdMachine } from './hold-machine.ts';
import { recordAction } from './operator.ts';
import type { MachinesAction, SteerDeps } from './steer.ts';

export type CommitDeps = SteerDeps & {
  /** null: nothing can be written down at the source. */
  control: SourceControl | null;
  signal: AbortSignal;
};

export type Committed = {
  machine: string;
  /** false: it was committed before. */
  isChanged: boolean;
  /** Why the note could not be left at the source; null: it stands there, or the source takes none. */
  noteFailure: string | null;
};

/** Those that landed; the others are left as they are. Throws `conflict` for a named machine that has not landed. */
export async function commitMachines(of: MachinesAction, deps: CommitDeps): Promise<Committed[]> {
  const { run, machines } = of;
  const [only] = machines;
  if (machines.length === 1 && only !== undefined && only.status !== 'landed') throw notLanded(run, only);
  const landed = machines.filter(({ status }) => status === 'landed');
  const committed: Committed[] = [];
  for (const record of landed) committed.push(await commitOne(of, record, deps));
  return committed;
}

async function commitOne(
  { run, reason }: MachinesAction,
  record: MachineRecord,
  deps: CommitDeps,
): Promise<Committed> {
  const { state, conductor, by } = deps;
  const machine = record.machine.name;
  const at = { run: run.id, machine };
  // Nobody may roll it back meanwhile.
  await using lease = await holdMachine(state, at);
  const found = await state.machines.get(run.id, machine);
  if (found === null || found.status !== 'landed') throw notLanded(run, found ?? record);
  const isNew = found.committedAt === null;
  if (isNew) await recordAction(state, { ...at, action: 'commit', by, reason });
  const changed = isNew
    ? await conductor.change(at, (current, _view, now) => commitMachine(current, now), lease)
    : found;
  // Again where it was committed before: a crash, or a source that was away, may have kept the note from being written.
  const noteFailure = await leaveNote(changed ?? found, deps);
  return { machine, isChanged: isNew && changed !== null, noteFailure };
}

async function leaveNote(record: MachineRecord, { control, signal }: CommitDeps): Promise<string | null> {
  if (control === null) return null;
  const note = noteFor(record);
  try {
    if ((await control.readNote(record.machine, signal)) !== note)
      await control.writeNote(record.machine, note, signal);
    return null;
  } catch (error) {
    signal.throwIfAborted();
    return saveError(error).message;
  }
}

/** One line, for people who look at the source and wonder why the machine is off. */
export function noteFor({ run, landing, committedAt }: MachineRecord): string {
  const at = committedAt === null ? '' : ` on ${new Date(committedAt).toISOString().slice(0, 10)}`;
  const where = landing === null ? '' : ` and lives at ${landing.kind} ${landing.id}`;
  return `Migrated by Landfall run ${run}${at}${where}. Do not start it here again.`;
}

function notLanded({ id }: RunRecord, { machine, status }: MachineRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `${machine.name} of ${id} is ${status}: only what landed can be committed. \`landfall status ${id}\` shows how it stands.`,
    context: { run: id, machine: machine.name },
  });
}
