/** A run's events: the newest, those that come, and older ones on demand. */
import { useCallback, useEffect, useMemo, useState } from 'react';
import type { ShownEvent } from '../../api/machine.ts';
import { mergeEvents } from '../view/event-filter.ts';
import { api } from './api.ts';
import { useLive } from './use-live.ts';
import { useResource } from './use-resource.ts';

const PAGE = 200;

export type EventList = {
  /** Oldest first. null: not there yet. */
  events: readonly ShownEvent[] | null;
  problem: Error | null;
  hasMore: boolean;
  isLoadingMore: boolean;
  loadMore: () => void;
};

/** `machine`: only what is about it. `kind` `audit`: only who did what, and what came of it (the server tells which). */
export function useEvents(of: { run: string; machine?: string; kind?: 'audit' }): EventList {
  const { run, machine, kind } = of;
  const wanted = useMemo(
    () => ({
      run,
      limit: PAGE,
      ...(machine === undefined ? {} : { machine }),
      ...(kind === undefined ? {} : { kind }),
    }),
    [run, machine, kind],
  );
  const key = JSON.stringify(wanted);
  const { value, problem, reload } = useResource(key, (signal) => api.events(wanted, signal));
  const live = useLive(run);
  const [earlier, setEarlier] = useState<{ events: readonly ShownEvent[]; hasMore: boolean } | null>(null);
  const [isLoadingMore, setIsLoadingMore] = useState(false);
  const [moreProblem, setMoreProblem] = useState<Error | null>(null);

  const recent = useMemo(
    () =>
      live.events.filter(
        (event) => (machine === undefined || event.machine === machine) && kind === undefined,
      ),
    [live.events, machine, kind],
  );
  const first = value?.events ?? null;
  const events = useMemo(
    () => (first === null ? null : mergeEvents([...(earlier?.events ?? []), ...first], recent)),
    [first, earlier, recent],
  );
  // The trail is made of what the server says belongs there: it is asked again when somebody did something.
  const deeds =
    kind === 'audit' ? live.events.filter(({ type }) => type === 'operator' || type === 'run').length : 0;
  useEffect(() => {
    if (deeds > 0) reload();
  }, [deeds, reload]);

  const oldest = events?.[0]?.id;
  const loadMore = useCallback(() => {
    if (oldest === undefined) return;
    setIsLoadingMore(true);
    setMoreProblem(null);
    api
      .events({ ...wanted, before: oldest })
      .then((more) =>
        setEarlier((old) => ({ events: [...more.events, ...(old?.events ?? [])], hasMore: more.hasMore })),
      )
      .catch((error: unknown) => setMoreProblem(error instanceof Error ? error : new Error(String(error))))
      .finally(() => setIsLoadingMore(false));
  }, [oldest, wanted]);

  return {
    events,
    problem: problem ?? moreProblem,
    hasMore: earlier?.hasMore ?? value?.hasMore ?? false,
    isLoadingMore,
    loadMore,
  };
}
