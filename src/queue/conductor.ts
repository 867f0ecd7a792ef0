/**
 * Carries decisions out, and what follows from them: jobs, the machines that come after one that landed, the run as a
 * whole. A crash between two of these is mended by whoever looks next: a second delivery, a timer or the reconciler,
 * since every look offers all wanted jobs again.
 */
import type { Advance } from '../domain/advance-machine.ts';
import { advanceWave, type WaveView } from '../domain/advance-wave.ts';
import type { RunEvent } from '../domain/events.ts';
import type { Job } from '../domain/job.ts';
import { beginStep, currentStep, unblockMachine } from '../domain/machine-changes.ts';
import { isAtRest, type MachineRecord, type MachineStatus } from '../domain/machine-record.ts';
import type { GroupCounts, RunRecord } from '../domain/run-record.ts';
import type { Lease } from '../state/lease.ts';
import type { KnownRecord, Standing } from '../state/machine-store.ts';
import { publishSignal } from '../state/signals.ts';
import { sweepSlots } from '../state/slots.ts';
import type { State } from '../state/state.ts';
import { eachAtOnce } from './at-once.ts';
import { inTurn } from './in-turn.ts';
import {
  type Changed,
  type ChangeOrder,
  commitChange,
  type MachineChange,
  type MachineRef,
  offerJobs,
} from './machine-change.ts';
import type { Queues } from './queues.ts';
import { advanceRun, changeRun, type RunChange, type RunDesk, readRun } from './run-change.ts';

export type { MachineChange, MachineRef } from './machine-change.ts';
export type { RunChange } from './run-change.ts';

/** May this job do its step? `withdrawn`: not now; its job is to go, and is offered again when its run is released. */
export type Begin =
  | { kind: 'begun'; run: RunRecord; record: MachineRecord; last: KnownRecord | null }
  | { kind: 'withdrawn' }
  | { kind: 'ended' };

export type Conductor = {
  /**
   * Applies a change and everything that follows from it. null: it did not apply. With a lease the commit is refused once
   * somebody else holds it. Throws `not-found`, `machine-busy`, `lease-lost`.
   */
  change(of: MachineRef, change: MachineChange, lease?: Lease): Promise<MachineRecord | null>;
  /** Looks at a machine and offers the jobs that its record wants. */
  look(of: MachineRef): Promise<Advance | null>;
  /** A job is about to do its step, under its lease. `known`: how things stood when it was delivered. */
  begin(job: Job, held: { lease: Lease; known: Standing }): Promise<Begin>;
  /** Commits how an attempt ended, and gives its lease back in the same step. Otherwise as `change`. */
  end(job: Job, held: { lease: Lease; last: KnownRecord | null }, change: MachineChange): Promise<void>;
  /** Looks at a run as a whole: starts waiting machines while slots are free, and settles its status. */
  advanceRun(run: string): Promise<RunRecord>;
  /** The same, and looks at each machine that the run's own state may move. Gives the jobs that are wanted. */
  lookAtRun(run: string): Promise<{ run: RunRecord; wanted: readonly WantedJob[] }>;
  /**
   * Changes a run as a whole (hold, release, approval, its window), together with the events that say who did it, and
   * everything that follows. null: it did not apply. Throws `not-found`.
   */
  changeRun(run: string, change: RunChange, events?: readonly RunEvent[]): Promise<RunRecord | null>;
  /** Sets free whoever comes after something that has landed: landings do it, unless they were killed before. false: nobody. */
  unblockLanded(run: RunRecord): Promise<boolean>;
};

export type WantedJob = { job: Job; site: string | null };

export type ConductorOptions = {
  state: State;
  queues: Queues;
  /** Told of each event about a machine that this conductor committed. */
  onEvent?: ((event: RunEvent) => void) | undefined;
};

const LOOKED_AT_ONCE = 25;

export function createConductor({ state, queues, onEvent = () => {} }: ConductorOptions): Conductor {
  const apply = async (order: ChangeOrder, which: 'all' | 'new'): Promise<Changed | null> => {
    const changed = await commitChange(desk, order);
    if (changed === null) return null;
    await offerJobs(queues, [changed], which);
    await settle(changed);
    return changed;
  };

  /** What a machine's new status means for workers, slots and the machines that come after it. */
  const settle = async ({ before, after: { record } }: Changed): Promise<void> => {
    const { run, status, machine } = record;
    if (before.status === status) return;
    if (ENDS_ATTEMPTS.has(status))
      await publishSignal(state.redis, { type: 'stop', run, machine: machine.name });
    if (isAtRest(status)) await sweepSlots(state.redis);
    if (status === 'landed') await unblockAfter(record);
  };

  const unblockAfter = async ({ run, machine, plan }: MachineRecord): Promise<void> => {
    await unblock(run, machine.name, () => true);
    if (plan.group === null || (await state.machines.dependents(run, plan.group)).length === 0) return;
    const group = (await state.machines.counts(run)).groups[plan.group];
    if (hasGroupLanded(group)) await unblock(run, plan.group, () => true);
  };

  /** false: nobody waits for less than before. */
  const unblock = async (
    run: string,
    landed: string,
    isMeant: (name: string) => boolean,
  ): Promise<boolean> => {
    const names = (await state.machines.dependents(run, landed)).filter(isMeant);
    let hasChanged = false;
    await eachAtOnce(names, {
      atOnce: LOOKED_AT_ONCE,
      async work(machine) {
        const change: MachineChange = (record) => unblockMachine(record, landed);
        if ((await apply({ of: { run, machine }, change }, 'new')) !== null) hasChanged = true;
      },
    });
    return hasChanged;
  };

  const unblockLanded = async (run: RunRecord): Promise<boolean> => {
    const counts = await state.machines.counts(run.id);
    if (counts.blocked === 0) return false;
    const statuses = await state.machines.statuses(run.id, run.machines);
    let hasChanged = false;
    for (const node of await state.machines.prerequisites(run.id)) {
      const hasLanded = statuses.get(node) === 'landed' || hasGroupLanded(counts.groups[node]);
      if (hasLanded && (await unblock(run.id, node, (name) => statuses.get(name) === 'blocked')))
        hasChanged = true;
    }
    return hasChanged;
  };

  const desk: RunDesk = {
    state,
    queues,
    onEvent,
    timers: new Map(),
    unblockLanded,
    async turnBack(of, viewOf) {
      const changed = await apply({ of, change: (record) => record, viewOf }, 'all');
      return changed !== null && changed.before.status !== changed.after.record.status;
    },
  };

  const advance = inTurn((id: string) => advanceRun(desk, id));

  const changeAndAdvance = async (order: ChangeOrder, which: 'all' | 'new'): Promise<Changed | null> => {
    const changed = await apply(order, which);
    if (changed !== null && hasMoved(changed)) await advance(order.of.run);
    return changed;
  };

  const lookAtRun: Conductor['lookAtRun'] = async (id) => {
    // Set anew: it may be lost, or have fired before a clock was put back.
    desk.timers.delete(id);
    const run = await advance(id);
    const statuses = await state.machines.statuses(id, run.machines);
    const concerned = concernedStatuses(await viewNow(id));
    const wanted: WantedJob[] = [];
    let isMoved = false;
    await eachAtOnce(
      run.machines.filter((name) => concerned.has(statuses.get(name) ?? 'landed')),
      {
        atOnce: LOOKED_AT_ONCE,
        async work(machine) {
          const looked = await apply({ of: { run: id, machine }, change: (record) => record }, 'all');
          if (looked === null) return;
          isMoved ||= hasMoved(looked);
          const { site } = looked.after.record;
          wanted.push(...looked.after.jobs.map((job) => ({ job, site })));
        },
      },
    );
    return { run: isMoved ? await advance(id) : run, wanted };
  };

  const viewNow = async (id: string): Promise<WaveView> => {
    const { run, counts, now } = await readRun(desk, id);
    return advanceWave(run, counts, now).view;
  };

  return {
    async change(of, change, lease) {
      const changed = await changeAndAdvance({ of, change, lease: lease ?? null }, 'new');
      return changed?.after.record ?? null;
    },
    async look(of) {
      return (await changeAndAdvance({ of, change: (record) => record }, 'all'))?.after ?? null;
    },
    async begin(job, { lease, known }) {
      let refused: Begin = { kind: 'ended' };
      const change: MachineChange = (record, view, now) => {
        const step = currentStep(record, job);
        const isHeldBack = step?.startedAt === null && !view.isOpen && job.stage !== 'rollback';
        refused = { kind: step !== null && isHeldBack ? 'withdrawn' : 'ended' };
        if (step === null || isHeldBack) return null;
        return beginStep(record, job, now) ?? record;
      };
      const begun = await changeAndAdvance({ of: job, change, lease, known }, 'new');
      if (begun === null) return refused;
      const { run, mark } = begun;
      const { record } = begun.after;
      if (currentStep(record, job) === null) return { kind: 'ended' };
      return { kind: 'begun', run, record, last: mark === null ? null : { record, mark } };
    },
    async end(job, { lease, last }, change) {
      await changeAndAdvance({ of: job, change, lease, last, endsLease: true }, 'new');
    },
    advanceRun: advance,
    lookAtRun,
    async changeRun(id, change, events = []) {
      if ((await changeRun(desk, { id, change, events })) === null) return null;
      return (await lookAtRun(id)).run;
    },
    unblockLanded,
  };
}

/** Whoever works on such a machine is to stop; a rollback, which undoes what they did, is never stopped. */
const ENDS_ATTEMPTS: ReadonlySet<MachineStatus> = new Set([
  'held',
  'failed',
  'cancelled',
  'discarded',
  'rolling-back',
]);

/** Which machines may change, or want jobs, by nothing but how their run stands? */
function concernedStatuses(view: WaveView): ReadonlySet<MachineStatus> {
  if (!view.isLive) return new Set();
  if (view.overrun !== null || view.isOver)
    return new Set(['blocked', 'waiting', 'moving', 'held', 'rolling-back']);
  return new Set(view.isOpen ? ['moving', 'rolling-back'] : ['rolling-back']);
}

function hasGroupLanded(group: GroupCounts | undefined): boolean {
  return group !== undefined && group.landed >= group.machines;
}

function hasMoved({ before, after }: Changed): boolean {
  return before.status !== after.record.status;
}
