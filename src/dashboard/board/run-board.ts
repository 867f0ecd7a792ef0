/**
 * All that is shown of one run, kept up to date for whoever looks: a round reads once, however many look. Revisions say
 * what changed since a look: whoever comes late gets all of it, whoever comes again only the news.
 */
import type { StoredEvent } from '../../domain/events.ts';
import { stepKey } from '../../domain/job.ts';
import { isUnderWay, type MachineRecord } from '../../domain/machine-record.ts';
import { isEnded, type RunCounts, type RunRecord } from '../../domain/run-record.ts';
import { pausedFor } from '../../operations/pool-control.ts';
import { unservedBy } from '../../operations/served-pools.ts';
import type { Heartbeat } from '../../state/heartbeats.ts';
import type { PoolSetting } from '../../state/pool-settings.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import type { State } from '../../state/state.ts';
import type { RunDetail, RunSummary } from '../api/run.ts';
import { createEventBook, type EventBook } from './event-book.ts';
import { createLineBook, type LineBook } from './line-book.ts';
import { openMachineReader } from './machine-reader.ts';
import { createRunEstimate } from './run-estimate.ts';
import { showGroups, summarizeRun } from './run-summary.ts';
import { sumMachines } from './run-totals.ts';

export type RunBoard = {
  id: string;
  /** Reads what changed. */
  refresh(run: RunRecord, fleet: Fleet): Promise<void>;
  records: ReadonlyMap<string, MachineRecord>;
  lines: LineBook;
  events: EventBook;
  summary(): RunSummary;
  /** The same, written once however many pages get it. */
  summaryJson(): string;
  /** Of the newest round, on Redis's clock. */
  now(): number;
  /** A `RunDetail` as JSON: that of thousands of machines is put together from lines that are written already. */
  detailJson(): string;
};

/** Workers that live, and what operators said of their pools. */
export type Fleet = { workers: readonly Heartbeat[]; pools: readonly PoolSetting[] };

type Round = {
  eventId: string;
  run: RunRecord;
  counts: RunCounts;
  now: number;
  summary: RunSummary;
  json?: string;
};

export async function openRunBoard(
  state: State,
  { run: first, fleet }: { run: RunRecord; fleet: Fleet },
): Promise<RunBoard> {
  const { id } = first;
  // Before the records are read: what happens meanwhile is read once more.
  const events = createEventBook(state, { run: id, newestId: await state.events.newestId(id) });
  const machines = await openMachineReader(state, { run: id, names: first.machines });
  const { records, changed } = machines;
  const lines = createLineBook();
  const estimate = createRunEstimate(state);
  let active: readonly string[] = [];

  let unread: StoredEvent[] = [];

  const look = async (run: RunRecord, { workers, pools }: Fleet): Promise<Round> => {
    const eventId = events.newestId();
    const [counts, now] = await Promise.all([state.machines.counts(id), state.clock.now()]);
    const isStale = changed.size > 0;
    // What was under way has no rate any more.
    for (const name of active) changed.add(name);
    active = [...records.values()]
      .filter(({ status }) => isUnderWay(status))
      .map(({ machine }) => machine.name);
    const progress = await state.progress.readSteps(id, stepsUnderWay(records, active));
    const redrawn = new Set([...changed, ...active]);
    await lines.draw(pick(records, redrawn), { progress, now });
    for (const name of redrawn) changed.delete(name);
    const due = await estimate.at({ run, records, progress, now, isStale });
    const { site } = run.wave.source;
    const unserved = isEnded(run.status) ? [] : unservedBy(workers, site);
    const paused = isEnded(run.status) ? [] : pausedFor(pools, site);
    const totals = sumMachines(records.values(), progress);
    return {
      run,
      eventId,
      counts,
      now,
      summary: summarizeRun({ run, counts, totals, unserved, paused, estimate: due, now }),
    };
  };

  let round: Round = await look(first, fleet);
  return {
    id,
    records,
    lines,
    events,
    async refresh(run, fleet) {
      // Where Redis goes away in between, they are still to be heeded.
      unread.push(...(await events.read()));
      await machines.read(unread);
      unread = [];
      round = await look(run, fleet);
    },
    summary: () => round.summary,
    summaryJson() {
      round.json ??= JSON.stringify(round.summary);
      return round.json;
    },
    now: () => round.now,
    detailJson() {
      const { now, run, counts, summary } = round;
      const rest: Omit<RunDetail, 'machines'> = {
        now,
        run: summary,
        groups: showGroups(run, counts),
        onFailure: run.wave.machines[0]?.onFailure ?? null,
        eventId: round.eventId,
      };
      return `${JSON.stringify(rest).slice(0, -1)},"machines":${lines.json()}}`;
    },
  };
}

function pick(records: ReadonlyMap<string, MachineRecord>, names: Iterable<string>): MachineRecord[] {
  return [...names].flatMap((name) => records.get(name) ?? []);
}

/** A stage is shown as a whole: of what is under way, its finished disks, too. */
function stepsUnderWay(
  records: ReadonlyMap<string, MachineRecord>,
  active: readonly string[],
): Pick<StepProgress, 'machine' | 'step'>[] {
  return pick(records, active).flatMap(({ machine, steps }) => {
    const all = Object.values(steps);
    const stages = new Set(all.filter(({ state }) => state === 'active').map(({ stage }) => stage));
    return all
      .filter(({ stage }) => stages.has(stage))
      .map((step) => ({ machine: machine.name, step: stepKey(step) }));
  });
}
