/** What one request brings, asked again every so often while it is shown. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { isUnreachable } from './problem.ts';

/** Where nobody answered it is asked again by itself: a wall screen has no one who would press a key. */
const RETRY_MS = 4000;

export type Resource<T> = {
  value: T | null;
  /** Why the latest request brought nothing; `value` then is what an earlier one brought. */
  problem: Error | null;
  isLoading: boolean;
  reload: () => void;
};

/**
 * `key` says what is asked for: another key forgets what was there. null: nothing is asked yet. `everyMs`: how long after an
 * answer it is asked again; a page in the background does not ask.
 */
export function useResource<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  { everyMs }: { everyMs?: number | undefined } = {},
): Resource<T> {
  const [state, setState] = useState<{ key: string | null; value: T | null; problem: Error | null }>({
    key: null,
    value: null,
    problem: null,
  });
  const [asked, setAsked] = useState(0);
  const loadRef = useRef(load);
  loadRef.current = load;

  // biome-ignore lint/correctness/useExhaustiveDependencies: `asked` is how a caller asks again.
  useEffect(() => {
    if (key === null) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      let isWorthRetrying = false;
      try {
        const value = await loadRef.current(controller.signal);
        if (controller.signal.aborted) return;
        setState({ key, value, problem: null });
      } catch (error) {
        if (controller.signal.aborted) return;
        isWorthRetrying = isUnreachable(error);
        const problem = error instanceof Error ? error : new Error(String(error));
        setState((old) => ({ key, value: old.key === key ? old.value : null, problem }));
      }
      const nextMs = everyMs ?? (isWorthRetrying ? RETRY_MS : undefined);
      if (nextMs !== undefined) timer = setTimeout(askWhenSeen, nextMs);
    };
    const askWhenSeen = (): void => {
      if (!document.hidden) return void ask();
      document.addEventListener('visibilitychange', () => void ask(), {
        once: true,
        signal: controller.signal,
      });
    };
    void ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, asked]);

  const isFresh = state.key === key;
  return {
    value: isFresh ? state.value : null,
    problem: isFresh ? state.problem : null,
    isLoading: key !== null && !isFresh,
    reload: useCallback(() => setAsked((count) => count + 1), []),
  };
}
