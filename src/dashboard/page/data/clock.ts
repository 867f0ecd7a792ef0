/** The server's clock: phones are minutes off, and what is left of a window is counted on Redis's time. */
import { useSyncExternalStore } from 'react';

const TICK_MS = 1000;
/** Below that, answers that took longer than others would make the clock jump to and fro. */
const TOLERATED_SKEW_MS = 1500;

let skewMs = 0;
let shown = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;
const listeners = new Set<() => void>();

/** Takes over what an answer says the time is. */
export function setServerNow(now: number): void {
  const skew = now - Date.now();
  if (Math.abs(skew - skewMs) <= TOLERATED_SKEW_MS) return;
  skewMs = skew;
  tick();
}

export function serverNow(): number {
  return Date.now() + skewMs;
}

/** The server's time, told again every second: all clocks of the page tick at once. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => shown);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === null) shown = serverNow();
  timer ??= setInterval(tick, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
}

function tick(): void {
  shown = serverNow();
  for (const listener of listeners) listener();
}
