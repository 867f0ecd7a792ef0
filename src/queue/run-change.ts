/** How a run as a whole is brought to where its machines, its window and its operators want it. */
import { advanceWave, type WaveView } from '../domain/advance-wave.ts';
import { LandfallError } from '../domain/errors.ts';
import type { RunEvent } from '../domain/events.ts';
import { startMachine } from '../domain/machine-changes.ts';
import { isEnded, type RunCounts, type RunRecord } from '../domain/run-record.ts';
import { eachAtOnce } from './at-once.ts';
import {
  type Changed,
  commitChange,
  type Desk,
  MAX_CONFLICTS,
  offerJobs,
  runNotFound,
} from './machine-change.ts';

/** A pure change of a run's record; null: it does not apply any more. */
export type RunChange = (record: RunRecord, counts: RunCounts, now: number) => RunRecord | null;

export type RunStanding = { run: RunRecord; counts: RunCounts; now: number };

export type RunDesk = Desk & {
  /** Changes a machine with all that follows, but for its run as a whole. null: it did not apply. */
  turnBack(
    of: { run: string; machine: string },
    viewOf: (run: RunRecord, view: WaveView) => WaveView,
  ): Promise<boolean>;
  /** Sets free whoever comes after something that has landed: whoever landed last may not have done so yet. false: nobody. */
  unblockLanded(run: RunRecord): Promise<boolean>;
  /** By run, when it will be looked at again: a timer need not be set for each machine that lands. */
  timers: Map<string, number>;
};

/** Machines of a wave that start at once are committed and offered in batches, so that their first steps begin at once. */
const STARTED_AT_ONCE = 50;

export async function readRun({ state }: Desk, id: string): Promise<RunStanding> {
  // The run first: counts that are newer than the run can only make the commit of the run fail.
  const run = await state.runs.get(id);
  if (run === null) throw runNotFound(id);
  const [counts, now] = await Promise.all([state.machines.counts(id), state.clock.now()]);
  return { run, counts, now };
}

/** Starts waiting machines while slots are free, and settles the run's status, window and hold. */
export async function advanceRun(desk: RunDesk, id: string): Promise<RunRecord> {
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; ) {
    const { run, counts, now } = await readRun(desk, id);
    const next = advanceWave(run, counts, now);
    const isEnding = isEnded(next.record.status) && !isEnded(run.status);
    if (isEnding && counts.blocked > 0 && (await desk.unblockLanded(run))) continue;
    if (hasMovedOn(run, next.record) && (await turnBackHeld(desk, run, counts))) continue;
    if (next.machinesToWake > 0 && (await startWaiting(desk, run, next.machinesToWake)) > 0) continue;
    if (isSameRun(run, next.record)) {
      await setTimer(desk, { run: id, at: next.wakeAt, now });
      return run;
    }
    // The counts may have changed between reading and committing: look again until they agree.
    conflicts += 1;
    await desk.state.runs.commit(next.record, eventsOf(run, next.record));
  }
  throw keepsChanging(id);
}

/** Throws `not-found`. null: it does not apply. */
export async function changeRun(
  desk: RunDesk,
  { id, change, events }: { id: string; change: RunChange; events: readonly RunEvent[] },
): Promise<RunRecord | null> {
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    const { run, counts, now } = await readRun(desk, id);
    const changed = change(run, counts, now);
    if (changed === null) return null;
    if (await desk.state.runs.commit(changed, events)) return changed;
  }
  throw keepsChanging(id);
}

async function startWaiting(desk: RunDesk, run: RunRecord, count: number): Promise<number> {
  const { state, queues } = desk;
  const limitPerHost = run.wave.limits.machinesPerHost;
  const names = await state.machines.nextWaiting(run.id, { count, limitPerHost });
  let started = 0;
  for (let at = 0; at < names.length; at += STARTED_AT_ONCE) {
    const changes: Changed[] = [];
    await eachAtOnce(names.slice(at, at + STARTED_AT_ONCE), {
      atOnce: STARTED_AT_ONCE,
      async work(machine) {
        const of = { run: run.id, machine };
        const changed = await commitChange(desk, {
          of,
          // Somebody may have held the run since it was read.
          change: (record, view, now) => (view.mayStart ? startMachine(record, now) : null),
        });
        if (changed !== null) changes.push(changed);
      },
    });
    await offerJobs(queues, changes, 'new');
    started += changes.length;
  }
  return started;
}

/** A recurring window comes again for others: the one that closed is over for those that were held in the middle of it. */
async function turnBackHeld(desk: RunDesk, run: RunRecord, counts: RunCounts): Promise<boolean> {
  if (counts.held === 0 || run.wave.onOverrun !== 'rollback') return false;
  const statuses = await desk.state.machines.statuses(run.id, run.machines);
  const held = run.machines.filter((name) => statuses.get(name) === 'held');
  let hasTurned = false;
  await eachAtOnce(held, {
    atOnce: STARTED_AT_ONCE,
    async work(machine) {
      const viewOf = (_run: RunRecord, view: WaveView): WaveView => ({
        ...view,
        overrun: 'rollback',
        isOver: false,
      });
      if (await desk.turnBack({ run: run.id, machine }, viewOf)) hasTurned = true;
    },
  });
  return hasTurned;
}

async function setTimer(
  { queues, timers }: RunDesk,
  { run, at, now }: { run: string; at: number | null; now: number },
): Promise<void> {
  if (at === null) timers.delete(run);
  if (at === null || timers.get(run) === at) return;
  await queues.wakeAt({ run, machine: null, at, now });
  timers.set(run, at);
}

function hasMovedOn(before: RunRecord, after: RunRecord): boolean {
  return before.window !== null && before.window.opensAt !== after.window?.opensAt;
}

function isSameRun(a: RunRecord, b: RunRecord): boolean {
  const changing = ({ status, endedAt, window, hold, passedFailures }: RunRecord) =>
    JSON.stringify([status, endedAt, window, hold, passedFailures]);
  return changing(a) === changing(b);
}

function eventsOf(before: RunRecord, after: RunRecord): RunEvent[] {
  const run = after.id;
  const events: RunEvent[] = [];
  if (before.hold === null && after.hold !== null) {
    const { by, reason } = after.hold;
    events.push({ type: 'operator', run, machine: null, action: 'hold', by, reason });
  }
  if (before.status !== after.status) events.push({ type: 'run', run, status: after.status });
  return events;
}

function keepsChanging(id: string): LandfallError {
  return new LandfallError({
    code: 'internal',
    message: `The record of run ${id} keeps changing.`,
    retryable: true,
  });
}
