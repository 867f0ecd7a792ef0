/** A console's text: its end first, what comes while it boots, and what stood before on demand. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { api } from '../data/api.ts';
import {
  appendText,
  bufferOf,
  CHUNK_CHARS,
  type ConsoleBuffer,
  prependText,
} from '../view/console-buffer.ts';

const LIVE_MS = 1000;
const AT_REST_MS = 15_000;

export type ConsoleState = {
  buffer: ConsoleBuffer | null;
  problem: Error | null;
  isLive: boolean;
  totalChars: number;
  /** Is there text before what is here? */
  hasEarlier: boolean;
  loadEarlier: () => void;
};

export function useConsole(of: { run: string; machine: string }, isBooting: boolean): ConsoleState {
  const { run, machine } = of;
  const [shown, setShown] = useState<{ buffer: ConsoleBuffer | null; isLive: boolean; totalChars: number }>({
    buffer: null,
    isLive: false,
    totalChars: 0,
  });
  const [problem, setProblem] = useState<Error | null>(null);
  const [isAllThere, setIsAllThere] = useState(false);
  const latest = useRef(shown);
  latest.current = shown;
  const isLoading = useRef(false);

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const follow = async (): Promise<void> => {
      let waitMs = isBooting ? LIVE_MS : AT_REST_MS;
      try {
        const { buffer } = latest.current;
        const next = await api.console(
          { run, machine, ...(buffer === null ? {} : { offset: buffer.end }) },
          signal,
        );
        if (signal.aborted) return;
        setShown(({ buffer: old }) => ({
          buffer: old === null ? bufferOf(next) : appendText(old, next),
          isLive: next.isLive,
          totalChars: next.totalChars,
        }));
        setProblem(null);
        // More than one answer holds is fetched without a pause.
        if (next.isLive) waitMs = next.nextOffset < next.totalChars ? 0 : LIVE_MS;
      } catch (error) {
        if (signal.aborted) return;
        setProblem(error instanceof Error ? error : new Error(String(error)));
      }
      timer = setTimeout(() => (document.hidden ? whenSeen() : void follow()), waitMs);
    };
    const whenSeen = (): void =>
      document.addEventListener('visibilitychange', () => void follow(), { once: true, signal });
    void follow();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [run, machine, isBooting]);

  const loadEarlier = useCallback(() => {
    const { buffer } = latest.current;
    if (buffer === null || buffer.start === 0 || isLoading.current) return;
    isLoading.current = true;
    const offset = Math.max(0, buffer.start - CHUNK_CHARS);
    api
      .console({ run, machine, offset })
      .then((earlier) => {
        setProblem(null);
        if (earlier.offset >= buffer.start) setIsAllThere(true);
        else setShown((old) => ({ ...old, buffer: old.buffer && prependText(old.buffer, earlier) }));
      })
      .catch((error: unknown) => setProblem(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        isLoading.current = false;
      });
  }, [run, machine]);

  const hasEarlier = shown.buffer !== null && shown.buffer.start > 0 && !isAllThere;
  return { ...shown, problem, hasEarlier, loadEarlier };
}
