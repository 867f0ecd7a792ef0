/** Summaries of runs that are over. Little changes there: they are read once, and again from time to time. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { RunRecord } from '../../domain/run-record.ts';
import type { State } from '../../state/state.ts';
import type { Estimate, RunSummary } from '../api/run.ts';
import { summarizeRun } from './run-summary.ts';
import { sumMachines, type Totals } from './run-totals.ts';

export type EndedRuns = {
  /** null: it is not known, or it changed since. */
  get(id: string, mark: string): Promise<RunSummary | null>;
  summarize(run: RunRecord, mark: string): Promise<RunSummary>;
};

/** What was cleaned up or discarded since changes no run's own record. */
const AGAIN_AFTER_MS = 15_000;
const PAGE = 250;

const OVER: Estimate = { endsAt: null, verdict: 'none', bytesLeft: 0, bytesPerSecond: 0, because: [] };
const UNKNOWN: Totals = { doneBytes: 0, totalBytes: 0, bytesPerSecond: 0, troubled: 0 };

export function createEndedRuns(state: State): EndedRuns {
  const known = new Map<string, { mark: string; at: number; summary: RunSummary }>();
  const moved = new Map<string, { mark: string; totals: Totals }>();
  /** One after the other: on a first look there may be a year of them. */
  let adding = Promise.resolve();

  const addUp = async (run: RunRecord, mark: string): Promise<void> => {
    const totals = { ...UNKNOWN };
    for (let at = 0; at < run.machines.length; at += PAGE) {
      const page = sumMachines(await state.machines.all(run.id, run.machines.slice(at, at + PAGE)), []);
      totals.doneBytes += page.doneBytes;
      totals.totalBytes += page.totalBytes;
      totals.troubled += page.troubled;
      await nextTurn();
    }
    moved.set(run.id, { mark, totals });
    known.delete(run.id);
  };

  return {
    async get(id, mark) {
      const found = known.get(id);
      if (found?.mark !== mark) return null;
      if (performance.now() - found.at < AGAIN_AFTER_MS) return found.summary;
      // The record of a big run is long: it is read again only where something was done since.
      const { groups: _groups, ...counts } = await state.machines.counts(id);
      if (!isDeepStrictEqual(counts, found.summary.counts)) return null;
      found.at = performance.now();
      return found.summary;
    },
    async summarize(run, mark) {
      const [counts, now] = await Promise.all([state.machines.counts(run.id), state.clock.now()]);
      const found = moved.get(run.id);
      if (found?.mark !== mark) {
        moved.set(run.id, { mark, totals: found?.totals ?? UNKNOWN });
        adding = adding.then(() => addUp(run, mark)).catch(() => void moved.delete(run.id));
      }
      const totals = { ...(found?.totals ?? UNKNOWN), troubled: counts.failed + counts['rolling-back'] };
      const summary = summarizeRun({ run, counts, totals, unserved: [], paused: [], estimate: OVER, now });
      known.set(run.id, { mark, at: performance.now(), summary });
      return summary;
    },
  };
}
