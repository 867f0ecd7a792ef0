/**
 * One change of one machine's record: reads it, applies the pure change, lets `advanceMachine` decide, commits by
 * compare-and-set, and only then adds the jobs that the committed record wants.
 */
import { randomUUID } from 'node:crypto';
import { type Advance, advanceMachine } from '../domain/advance-machine.ts';
import { advanceWave, type WaveView } from '../domain/advance-wave.ts';
import { LandfallError } from '../domain/errors.ts';
import { eventsBetween, type RunEvent } from '../domain/events.ts';
import { type Job, stepKey } from '../domain/job.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import { type Lease, leaseLost } from '../state/lease.ts';
import type { KnownRecord, Standing } from '../state/machine-store.ts';
import type { State } from '../state/state.ts';
import type { Queues } from './queues.ts';

/** What decisions are carried out with. */
export type Desk = { state: State; queues: Queues; onEvent: (event: RunEvent) => void };

/** A pure change of a record; null: it does not apply any more. */
export type MachineChange = (record: MachineRecord, view: WaveView, now: number) => MachineRecord | null;

export type MachineRef = { run: string; machine: string };

export type ChangeOrder = {
  of: MachineRef;
  change: MachineChange;
  /** The commit is refused once somebody else holds it. */
  lease?: Lease | null;
  /** As it was read just now: spares a reading where it is still so. Nothing but a commit is decided from it. */
  known?: Standing | null;
  /** As it was committed last by whoever asks: it is read again only where it changed since. */
  last?: KnownRecord | null;
  /** The change is an attempt's outcome: with the commit its lease ends. */
  endsLease?: boolean;
  /** How the machine is to see its run, where that differs from how the run stands by now. */
  viewOf?: (run: RunRecord, view: WaveView) => WaveView;
};

export type Changed = {
  run: RunRecord;
  before: MachineRecord;
  after: Advance;
  now: number;
  /** Of the commit; null: there was nothing to commit. */
  mark: string | null;
};

/** A few processes at most write to one record at a time; more conflicts than this mean a defect. */
export const MAX_CONFLICTS = 100;

/** null: it did not apply, or the limits of machines on the move have no room. Throws `not-found`, `machine-busy`, `lease-lost`. */
export async function commitChange({ state, onEvent }: Desk, order: ChangeOrder): Promise<Changed | null> {
  const { of, change, lease = null, last = null, endsLease = false, viewOf = (_run, view) => view } = order;
  let { known = null } = order;
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    const [standing, now] = await Promise.all([
      known ?? state.machines.standing({ run: of.run, machine: of.machine }, last),
      state.clock.now(),
    ]);
    const wasKnown = known !== null;
    known = null;
    if (standing === null) throw runNotFound(of.run);
    const { run, record: before, counts } = standing;
    if (before === null) throw machineNotFound(of);
    const view = viewOf(run, advanceWave(run, counts, now).view);
    const changed = change(before, view, now);
    if (changed === null) {
      if (wasKnown) continue;
      return null;
    }
    const after = advanceMachine(changed, view, now);
    if (changed === before && isSame(after.record, before)) {
      if (wasKnown) continue;
      return { run, before, after: { ...after, record: before }, now, mark: null };
    }
    const events = eventsBetween(before, after.record);
    const { machines: limit, machinesPerHost: limitPerHost } = run.wave.limits;
    const mark = randomUUID();
    const committed = { record: after.record, events, limit, limitPerHost, lease, endsLease, mark };
    const reply = await state.machines.commit(committed);
    if (reply.kind === 'stale') throw leaseLost(lease?.key ?? '');
    if (reply.kind === 'full') return null;
    if (reply.kind === 'claimed') throw machineBusy(of, reply.by);
    if (reply.kind === 'conflict') continue;
    if (endsLease) lease?.forget();
    events.forEach(onEvent);
    const record = { ...after.record, version: after.record.version + 1 };
    return { run, before, after: { ...after, record }, now, mark };
  }
  throw new LandfallError({
    code: 'internal',
    message: `The record of ${of.machine} in ${of.run} keeps changing.`,
    retryable: true,
  });
}

/** `new`: those that the change brought about; the others were offered when they came up. */
export async function offerJobs(
  queues: Queues,
  changes: readonly Changed[],
  which: 'all' | 'new',
): Promise<void> {
  const offers = changes.flatMap(({ before, after }) =>
    after.jobs
      .filter((job) => which === 'all' || isNew(before, after.record, job))
      .map((job) => ({ job, site: after.record.site })),
  );
  for (const [site, of] of Map.groupBy(offers, (offer) => offer.site))
    await queues.add(
      of.map(({ job }) => job),
      site,
    );
  for (const { before, after, now } of changes) {
    if (after.wakeAt === null) continue;
    await queues.wakeAt({ run: before.run, machine: before.machine.name, at: after.wakeAt, now });
  }
}

function isNew(before: MachineRecord, after: MachineRecord, job: Job): boolean {
  if (before.status !== after.status) return true;
  const step = before.steps[stepKey(job)];
  return step === undefined || step.state !== 'active' || step.try !== job.try || step.notBefore !== null;
}

function isSame(a: MachineRecord, b: MachineRecord): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

export function runNotFound(id: string): LandfallError {
  return new LandfallError({
    code: 'not-found',
    message: `There is no run ${id}. \`landfall status\` lists the runs.`,
  });
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
