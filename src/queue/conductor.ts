/**
 * Carries decisions out: reads a record, applies a pure change, lets `advanceMachine` decide, commits by compare-and-set,
 * and only then adds the jobs that the committed record wants. A crash between commit and add is mended by whoever
 * looks next: a second delivery, a timer or the reconciler, since every look offers all wanted jobs again.
 */
import { type Advance, advanceMachine } from '../domain/advance-machine.ts';
import { advanceWave, type WaveView } from '../domain/advance-wave.ts';
import { LandfallError } from '../domain/errors.ts';
import { eventsBetween, type RunEvent } from '../domain/events.ts';
import { startMachine } from '../domain/machine-changes.ts';
import { isAtRest, type MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { type Lease, leaseLost } from '../state/lease.ts';
import { publishStop } from '../state/signals.ts';
import { sweepSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';
import type { Queues } from './queues.ts';

/** A pure change of a record; null: it does not apply any more. */
export type MachineChange = (record: MachineRecord, view: WaveView, now: number) => MachineRecord | null;

export type MachineRef = { run: string; machine: string };

export type Conductor = {
  /**
   * Applies a change and everything that follows from it. null: it did not apply. With a lease the commit is refused once
   * somebody else holds it. Throws `not-found`, `machine-busy`, `lease-lost`.
   */
  change(of: MachineRef, change: MachineChange, lease?: Lease): Promise<MachineRecord | null>;
  /** Looks at a machine and offers the jobs that its record wants. */
  look(of: MachineRef): Promise<Advance | null>;
  /** Looks at a run as a whole: starts waiting machines while slots are free, and settles its status. */
  advanceRun(run: string): Promise<RunRecord>;
};

/** A few processes at most write to one record at a time; more conflicts than this mean a defect. */
const MAX_CONFLICTS = 100;

export type ConductorOptions = {
  state: State;
  queues: Queues;
  /** Told of each event that this conductor committed. */
  onEvent?: ((event: RunEvent) => void) | undefined;
};

export function createConductor({ state, queues, onEvent = () => {} }: ConductorOptions): Conductor {
  const readRun = async (id: string): Promise<RunRecord> => {
    const run = await state.runs.get(id);
    if (run !== null) return run;
    throw new LandfallError({
      code: 'not-found',
      message: `There is no run ${id}. \`landfall status\` lists the runs.`,
    });
  };

  const offer = async (of: MachineRef, advance: Advance, now: number): Promise<void> => {
    await queues.add(advance.jobs);
    if (advance.wakeAt !== null) await queues.wakeAt({ ...of, at: advance.wakeAt, now });
  };

  const commitChange = async (
    of: MachineRef,
    change: MachineChange,
    lease: Lease | null = null,
  ): Promise<{ before: MachineRecord; after: Advance; isChanged: boolean } | null> => {
    const run = await readRun(of.run);
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
      const before = await state.machines.get(of.run, of.machine);
      if (before === null) throw machineNotFound(of);
      const now = await state.clock.now();
      const { view } = advanceWave(run, await state.machines.counts(of.run), now);
      const changed = change(before, view, now);
      if (changed === null) return null;
      const after = advanceMachine(changed, view, now);
      if (isSame(after.record, before)) {
        await offer(of, after, now);
        return { before, after, isChanged: false };
      }
      const events = eventsBetween(before, after.record);
      const limit = run.wave.limits.machines;
      const reply = await state.machines.commit({ record: after.record, events, limit, lease });
      if (reply.kind === 'stale') throw leaseLost(lease?.key ?? '');
      if (reply.kind === 'full') return null;
      if (reply.kind === 'claimed') throw machineBusy(of, reply.by);
      if (reply.kind === 'conflict') continue;
      events.forEach(onEvent);
      await offer(of, after, now);
      return { before, after, isChanged: true };
    }
    throw new LandfallError({
      code: 'internal',
      message: `The record of ${of.machine} in ${of.run} keeps changing.`,
      retryable: true,
    });
  };

  const settleMachine = async (
    of: MachineRef,
    before: MachineRecord,
    after: MachineRecord,
  ): Promise<void> => {
    if (before.status === after.status) return;
    if (isAtRest(after.status)) {
      await publishStop(state.redis, { type: 'stop', run: of.run, machine: of.machine });
      await sweepSlots(state.redis);
    }
    await advanceRun(of.run);
  };

  const advanceRun = async (id: string): Promise<RunRecord> => {
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
      const run = await readRun(id);
      const next = advanceWave(run, await state.machines.counts(id), await state.clock.now());
      if (next.machinesToWake > 0 && (await startWaiting(id, next.machinesToWake)) > 0) continue;
      if (next.record.status === run.status) return run;
      if (!(await state.runs.commit(next.record))) continue;
      await state.events.append({ type: 'run', run: id, status: next.record.status });
      // The counts may have changed between reading and committing: look again until they agree.
    }
    throw new LandfallError({
      code: 'internal',
      message: `The record of run ${id} keeps changing.`,
      retryable: true,
    });
  };

  const startWaiting = async (run: string, count: number): Promise<number> => {
    let started = 0;
    for (const machine of await state.machines.nextWaiting(run, count)) {
      const result = await commitChange({ run, machine }, (record, _view, now) => startMachine(record, now));
      if (result !== null) started += 1;
    }
    return started;
  };

  return {
    async change(of, change, lease) {
      const result = await commitChange(of, change, lease);
      if (result === null) return null;
      await settleMachine(of, result.before, result.after.record);
      return result.after.record;
    },
    async look(of) {
      const result = await commitChange(of, (record) => record);
      if (result === null) return null;
      await settleMachine(of, result.before, result.after.record);
      return result.after;
    },
    advanceRun,
  };
}

function isSame(a: MachineRecord, b: MachineRecord): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function machineNotFound(of: MachineRef): LandfallError {
  return new LandfallError({
    code: 'not-found',
    message: `Run ${of.run} has no machine ${of.machine}. \`landfall status ${of.run}\` lists its machines.`,
  });
}

function machineBusy(of: MachineRef, by: string): LandfallError {
  return new LandfallError({
    code: 'machine-busy',
    message: `${of.machine} of run ${of.run} belongs to the live run ${by} by now. Let that run end, or cancel or discard it.`,
    context: { machine: of.machine, run: by },
  });
}
