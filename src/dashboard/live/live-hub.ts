/**
 * Keeps open pages up to date: one round a second reads what changed, once for all of them, and gives each what it has
 * not seen. A page that comes back gets the events since the one that it saw last, each once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { saveError } from '../../domain/errors.ts';
import type { Log } from '../../log.ts';
import type { State } from '../../state/state.ts';
import type { Boards } from '../board/boards.ts';
import type { RunBoard } from '../board/run-board.ts';
import type { RedisHealth, RedisWatch } from '../redis-watch.ts';
import { type EventSource, healthMessage, liveMessage } from './event-source.ts';
import { createRunFeed, type RunFeed } from './run-feed.ts';

export type LiveHub = AsyncDisposable & {
  /** `run`: null for the list of all runs. `afterId`: of the last event that the page has seen. */
  join(page: EventSource, of: { run: string | null; afterId: string | null }): void;
  pages(): number;
  /** Lets all pages go: they come back by themselves, to whoever listens then. */
  close(): void;
};

const ROUND_MS = 1_000;
const SAY_AGAIN_MS = 60_000;

export function startLiveHub(of: { state: State; boards: Boards; redis: RedisWatch; log: Log }): LiveHub {
  const { state, boards, redis, log } = of;
  const ending = new AbortController();
  const listPages = new Map<EventSource, { json: string }>();
  const runPages = new Map<EventSource, RunFeed>();
  const all = (): EventSource[] => [...listPages.keys(), ...runPages.keys()];
  let fault: { message: string; at: number } | null = null;
  let wake = Promise.withResolvers<void>();

  const tellList = async (): Promise<void> => {
    if (listPages.size === 0) return;
    const { now, runs } = await boards.list();
    const json = JSON.stringify(runs);
    for (const [page, seen] of listPages) {
      if (seen.json === json || page.isBehind()) continue;
      seen.json = json;
      page.send(liveMessage('runs', `{"now":${now},"runs":${json}}`));
    }
  };

  const tellRuns = async (): Promise<void> => {
    for (const [run, feeds] of Map.groupBy(runPages.values(), (feed) => feed.run)) {
      let board: RunBoard;
      try {
        board = await boards.board(run);
      } catch (error) {
        const { code } = saveError(error);
        if (code === 'redis-away') throw error;
        // The run is gone: a page that comes back is told so. Another fault is of this run only.
        if (code === 'not-found') for (const feed of feeds) feed.page.end();
        else reportFault(error);
        continue;
      }
      for (const feed of feeds) feed.tell(board).catch(reportFault);
    }
  };

  const round = async (): Promise<void> => {
    try {
      await redis.whileThere(async () => {
        await tellList();
        await tellRuns();
      });
    } catch (error) {
      reportFault(error);
    }
  };

  const reportFault = (error: unknown): void => {
    const { code, message } = saveError(error);
    // The pages know already: their health says so.
    if (code === 'redis-away') return;
    // What fails fails once a second.
    const isNews = fault?.message !== message || performance.now() - fault.at > SAY_AGAIN_MS;
    if (!isNews) return;
    fault = { message, at: performance.now() };
    log('error', `The dashboard's pages were not brought up to date: ${message}`);
  };

  const rounds = (async () => {
    while (!ending.signal.aborted) {
      if (all().length === 0) await wake.promise;
      if (ending.signal.aborted) return;
      await round();
      await Promise.race([
        wake.promise,
        sleep(ROUND_MS, undefined, { signal: ending.signal }).catch(() => {}),
      ]);
      wake = Promise.withResolvers();
    }
  })();

  const sayHealth = (health: RedisHealth): void => {
    for (const page of all()) page.send(healthMessage(health));
  };
  const listening = redis.onChange(sayHealth);

  return {
    join(page, { run, afterId }) {
      page.send(healthMessage(redis.health()));
      if (run === null) listPages.set(page, { json: '' });
      else runPages.set(page, createRunFeed({ page, run, afterId, state }));
      page.gone.addEventListener('abort', () => {
        listPages.delete(page);
        runPages.delete(page);
      });
      // It is not to wait for the next round.
      wake.resolve();
    },
    pages: () => all().length,
    close() {
      for (const page of all()) page.end();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      listening[Symbol.dispose]();
      wake.resolve();
      for (const page of all()) page.end();
      await rounds;
    },
  };
}
