/** What operators do to machines of a run: retry, hold, release and cancel. Idempotent; workers elsewhere hear of it. */
import { isWindowOver, moveToNextWindow, phaseOf } from '../domain/advance-wave.ts';
import { LandfallError } from '../domain/errors.ts';
import {
  cancelMachine,
  hasBegunImport,
  holdMachine as holdRecord,
  releaseMachine,
  retryDisk,
  retryMachine,
} from '../domain/machine-changes.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord, Say } from '../domain/run-record.ts';
import { formatMoment } from '../domain/zoned-time.ts';
import type { Conductor, MachineChange, MachineRef } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';
import { holdMachine } from './hold-machine.ts';
import { recordAction, sayNow } from './operator.ts';

export type SteerDeps = {
  state: State;
  conductor: Conductor;
  /** Who acts: it goes into the audit trail. */
  by: string;
};

export type MachinesAction = {
  run: RunRecord;
  machines: readonly MachineRecord[];
  reason: string | null;
};

/**
 * Gives the machines that changed; those to which a retry does not apply (moving, landed) are left alone. With `disk`,
 * that disk is exported and uploaded once more. Throws `conflict` for an archived run, while somebody discards a
 * machine, after the window has closed, and for a disk of a machine that is imported already.
 */
export async function retryMachines(
  of: MachinesAction & { disk?: string | null },
  deps: SteerDeps,
): Promise<string[]> {
  const { run, machines, reason, disk = null } = of;
  const change: MachineChange = (record) => (disk === null ? retryMachine(record) : retryDisk(record, disk));
  refuseRetry(of, await deps.state.clock.now());
  await bringNextWindow(
    run,
    machines.filter((record) => change(record, NO_VIEW, 0) !== null && !goesBack(record)),
    deps,
  );
  const changed: string[] = [];
  for (const { machine } of machines) {
    const at = { run: run.id, machine: machine.name, reason };
    const action = disk === null ? 'retry' : `retry disk ${disk}`;
    if (await beginAgain({ ...at, action, change }, deps)) changed.push(machine.name);
  }
  return changed;
}

/** What `retryMachines` throws before it does anything. */
export function refuseRetry(
  { run, machines, disk = null }: Pick<MachinesAction, 'run' | 'machines'> & { disk?: string | null },
  now: number,
): void {
  if (run.archivedAt !== null) throw archived(run);
  const isOver = isWindowOver(run, now);
  for (const record of machines) {
    if (disk !== null) refuseDisk(record, disk);
    if (isOver && !goesBack(record)) throw windowIsOver(run, record);
  }
}

/** Those that failed and wait for a decision are tried again by it. Throws `conflict` also after the window has closed. */
export async function releaseMachines(
  { run, machines, reason }: MachinesAction,
  deps: SteerDeps,
): Promise<string[]> {
  refuseRelease({ run, machines }, await deps.state.clock.now());
  await bringNextWindow(
    run,
    machines.filter((record) => releaseMachine(record) !== null),
    deps,
  );
  const changed: string[] = [];
  for (const { machine } of machines) {
    const at = { run: run.id, machine: machine.name, reason };
    if (await beginAgain({ ...at, action: 'release', change: releaseMachine }, deps))
      changed.push(machine.name);
  }
  return changed;
}

/** What `releaseMachines` throws before it does anything. */
export function refuseRelease(
  { run, machines }: Pick<MachinesAction, 'run' | 'machines'>,
  now: number,
): void {
  if (run.archivedAt !== null) throw archived(run);
  const held = machines.find(({ status }) => status === 'held');
  if (held !== undefined && isWindowOver(run, now)) throw windowIsOver(run, held);
}

/** Pauses machines where they are; an attempt under way ends, and goes on from there once they are released. */
export async function holdMachines(
  { run, machines, reason }: MachinesAction,
  deps: SteerDeps,
): Promise<string[]> {
  const say = await sayNow(deps.state, { by: deps.by, reason });
  return changeEach(
    {
      run,
      machines: waitingFirst(machines),
      reason,
      action: 'hold',
      change: (record) => heldBy(record, say),
    },
    deps,
  );
}

export async function cancelMachines(
  { run, machines, reason }: MachinesAction,
  deps: SteerDeps,
): Promise<string[]> {
  return changeEach(
    {
      run,
      machines: waitingFirst(machines),
      reason,
      action: 'cancel',
      change: (record, _view, now) => cancelMachine(record, now),
    },
    deps,
  );
}

function heldBy(record: MachineRecord, hold: Say): MachineRecord | null {
  const held = holdRecord(record);
  return held === null ? null : { ...held, hold };
}

/** A slot that a moving one gives up must not start another that is about to be stopped, too. */
export function waitingFirst(machines: readonly MachineRecord[]): MachineRecord[] {
  return machines.toSorted((a, b) => Number(b.startedAt === null) - Number(a.startedAt === null));
}

type EachChange = MachinesAction & { action: string; change: MachineChange };

async function changeEach(
  { run, machines, reason, action, change }: EachChange,
  { state, conductor, by }: SteerDeps,
): Promise<string[]> {
  const changed: string[] = [];
  for (const record of machines) {
    const at = { run: run.id, machine: record.machine.name };
    // What was read is old: the change decides again on what it finds. This only spares the audit trail what was no deed.
    if (change(record, NO_VIEW, 0) === null) continue;
    await recordAction(state, { ...at, action, by, reason });
    if ((await conductor.change(at, change)) !== null) changed.push(record.machine.name);
  }
  return changed;
}

const NO_VIEW = {
  isLive: true,
  isOpen: true,
  mayStart: true,
  overrun: null,
  isOver: false,
  tries: 1,
} as const;

/** Whoever begins again between two windows begins in the next: the one that closed would take them back at once. */
async function bringNextWindow(
  { id }: RunRecord,
  machines: readonly MachineRecord[],
  { state, conductor }: SteerDeps,
): Promise<void> {
  if (machines.length === 0) return;
  const moved = await conductor.changeRun(id, moveToNextWindow);
  const run = moved ?? (await state.runs.get(id));
  if (run === null || phaseOf(run, await state.clock.now()) !== 'over') return;
  throw new LandfallError({
    code: 'conflict',
    message: `Nothing was done: machines of ${id} still go back from the window that closed. Try again once they are back (\`landfall status ${id}\`).`,
    retryable: true,
    context: { run: id },
  });
}

type BeginAgain = MachineRef & { reason: string | null; action: string; change: MachineChange };

async function beginAgain(
  { run, machine, reason, action, change }: BeginAgain,
  { state, conductor, by }: SteerDeps,
): Promise<boolean> {
  // Nobody may discard it meanwhile.
  await using lease = await holdMachine(state, { run, machine });
  const record = await state.machines.get(run, machine);
  if (record === null || change(record, NO_VIEW, 0) === null) return false;
  const ofLiveRun: MachineChange = (current, view, now) => (view.isLive ? change(current, view, now) : null);
  // Who did it comes before what it does, as the events are read.
  await recordAction(state, { run, machine, action, by, reason });
  if ((await conductor.change({ run, machine }, ofLiveRun, lease)) === null) return false;
  await state.progress.clear(run, machine);
  return true;
}

/** A rollback that failed is tried again whatever the window says. */
function goesBack({ steps }: MachineRecord): boolean {
  return steps.rollback?.state === 'failed';
}

function refuseDisk(record: MachineRecord, disk: string): void {
  const { machine, run, status } = record;
  const ids = machine.disks.map(({ id }) => id);
  if (!ids.includes(disk)) {
    throw new LandfallError({
      code: 'not-found',
      message: `${machine.name} of ${run} has no disk ${disk}; it has ${ids.join(', ')}.`,
    });
  }
  if (!hasBegunImport(record) || status === 'moving') return;
  throw new LandfallError({
    code: 'conflict',
    message: `Disk ${disk} of ${machine.name} cannot be uploaded alone any more: its import has begun, which takes all disks together. \`landfall retry ${run} ${machine.name}\` goes on with what is uploaded; \`landfall discard ${run} ${machine.name}\` before it begins anew.`,
    context: { run, machine: machine.name, disk },
  });
}

function windowIsOver(run: RunRecord, { machine }: MachineRecord): LandfallError {
  const { window, wave } = run;
  const closed =
    window === null || wave.window === null
      ? ''
      : ` at ${formatMoment(window.closesAt, wave.window.timezone)}`;
  return new LandfallError({
    code: 'conflict',
    message: `${machine.name} was left as it is: the window of ${run.id} closed${closed}, and nothing begins any more. Open it first: \`landfall cutover ${run.id} --now --until 4h\`.`,
    context: { run: run.id, machine: machine.name },
  });
}

function archived(run: RunRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Run ${run.id} is archived: its machines may belong to another run by now. Run the wave again: \`landfall run ${run.wave.file}\`.`,
    context: { run: run.id },
  });
}
