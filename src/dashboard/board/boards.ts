/** The boards of all runs that somebody looks at, and the list of them all. */
import { isEnded, type RunRecord } from '../../domain/run-record.ts';
import { findRun } from '../../operations/find-run.ts';
import { liveWorkers } from '../../state/heartbeats.ts';
import type { State } from '../../state/state.ts';
import type { RunList, RunSummary } from '../api/run.ts';
import { createEndedRuns } from './ended-runs.ts';
import { type Fleet, openRunBoard, type RunBoard } from './run-board.ts';

export type Boards = {
  /** As it is now, or was less than a second ago. Throws `not-found`. */
  board(run: string): Promise<RunBoard>;
  /** Newest first. */
  list(): Promise<RunList>;
};

/** Whoever looks within this time shares what was read. */
const FRESH_MS = 900;
/** A board that nobody looked at for so long is given up. */
const UNUSED_MS = 60_000;
/** More runs than that are history: `landfall status` lists them all. */
const MAX_LISTED = 200;

type Kept = { board: Promise<RunBoard>; readAt: number; usedAt: number; reading: Promise<void> | null };

export function createBoards(state: State): Boards {
  const kept = new Map<string, Kept>();
  const ended = createEndedRuns(state);
  let seen: { at: number; fleet: Promise<Fleet> } | null = null;
  let listing: { at: number; list: Promise<RunList> } | null = null;

  /** The same for all boards of a round. */
  const fleet = (): Promise<Fleet> => {
    if (seen === null || performance.now() - seen.at > FRESH_MS) {
      const read = readFleet(state);
      const mine = { at: performance.now(), fleet: read };
      seen = mine;
      read.catch(() => {
        if (seen === mine) seen = null;
      });
    }
    return seen.fleet;
  };

  const boardOf = async (run: RunRecord): Promise<RunBoard> => {
    const now = performance.now();
    for (const [id, { usedAt }] of kept) if (now - usedAt > UNUSED_MS) kept.delete(id);
    const known = kept.get(run.id) ?? open(run);
    known.usedAt = now;
    const board = await known.board;
    if (known.reading === null && performance.now() - known.readAt > FRESH_MS)
      known.reading = refresh(known, board, run).finally(() => {
        known.reading = null;
      });
    await known.reading;
    return board;
  };

  const open = (run: RunRecord): Kept => {
    const board = (async () => openRunBoard(state, { run, fleet: await fleet() }))();
    const opened: Kept = { board, readAt: performance.now(), usedAt: performance.now(), reading: null };
    kept.set(run.id, opened);
    board.then(
      () => {
        opened.readAt = performance.now();
      },
      () => kept.delete(run.id),
    );
    return opened;
  };

  const refresh = async (of: Kept, board: RunBoard, run: RunRecord): Promise<void> => {
    await board.refresh(run, await fleet());
    of.readAt = performance.now();
  };

  const readList = async (): Promise<RunList> => {
    const ids = (await state.runs.list()).slice(0, MAX_LISTED);
    const marks = await state.runs.marks(ids);
    const runs: RunSummary[] = [];
    for (const [index, id] of ids.entries()) {
      const mark = marks[index] ?? null;
      if (mark === null) continue;
      const known = await ended.get(id, mark);
      if (known !== null) {
        runs.push(known);
        continue;
      }
      const run = await state.runs.at(id, mark);
      if (run === null) continue;
      runs.push(isEnded(run.status) ? await ended.summarize(run, mark) : (await boardOf(run)).summary());
    }
    return { now: await state.clock.now(), runs };
  };

  return {
    board: async (idOrWave) => boardOf(await findRun(state, idOrWave)),
    list() {
      if (listing === null || performance.now() - listing.at > FRESH_MS) {
        const list = readList();
        const mine = { at: performance.now(), list };
        listing = mine;
        list.catch(() => {
          if (listing === mine) listing = null;
        });
      }
      return listing.list;
    },
  };
}

async function readFleet(state: State): Promise<Fleet> {
  const [workers, pools] = await Promise.all([liveWorkers(state.redis), state.pools.read()]);
  return { workers, pools };
}
