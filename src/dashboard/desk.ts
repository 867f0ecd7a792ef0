/** What the dashboard's routes work with. */
import type { App } from '../app.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Log } from '../log.ts';
import { findRun } from '../operations/find-run.ts';
import type { State } from '../state/state.ts';
import { type Boards, createBoards } from './board/boards.ts';
import { type LiveHub, startLiveHub } from './live/live-hub.ts';
import { type RedisWatch, startRedisWatch } from './redis-watch.ts';

export type Desk = AsyncDisposable & {
  app: App;
  state: State;
  redis: RedisWatch;
  boards: Boards;
  hub: LiveHub;
  log: Log;
  /** By its id, or its wave's name. Throws `not-found`. */
  findRun(idOrWave: string): Promise<RunRecord>;
};

export async function openDesk({ app, log }: { app: App; log: Log }): Promise<Desk> {
  const { state } = app;
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedisWatch(state));
  const boards = createBoards(state);
  const hub = stack.use(startLiveHub({ state, boards, redis, log }));
  const owned = stack.move();
  return {
    app,
    state,
    redis,
    boards,
    hub,
    log,
    findRun: (idOrWave) => findRun(state, idOrWave),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
