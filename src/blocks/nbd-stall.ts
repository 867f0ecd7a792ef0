/** Tells when somebody who owes an answer has been silent for too long. */

export type StallWatch = Disposable & {
  /** Something was heard, or the wait begins. */
  heard(): void;
};

export type StallOptions = {
  timeoutMs: number;
  /** Does anybody owe us anything? Silence without that is fine. */
  isAwaiting: () => boolean;
  onStall: () => void;
};

/** One timer that moves on when it fires, not one for each request: a fast server answers 10 000 of them a second. */
export function watchForStalls({ timeoutMs, isAwaiting, onStall }: StallOptions): StallWatch {
  let heardAtMs = performance.now();
  let timer: NodeJS.Timeout | null = null;
  const silentMs = (): number => performance.now() - heardAtMs;
  const arm = (afterMs: number): void => {
    timer = setTimeout(check, afterMs);
    // An idle client keeps no process alive; its socket does.
    timer.unref();
  };
  const check = (): void => {
    timer = null;
    if (!isAwaiting()) return;
    if (silentMs() < timeoutMs) {
      arm(timeoutMs - silentMs());
      return;
    }
    // Timers run before sockets: after this process itself was stopped, the answer may lie in the socket unread.
    setImmediate(() => {
      if (timer !== null || !isAwaiting()) return;
      if (silentMs() < timeoutMs) arm(timeoutMs - silentMs());
      else onStall();
    });
  };
  return {
    heard: () => {
      heardAtMs = performance.now();
      if (timer === null) arm(timeoutMs);
    },
    [Symbol.dispose]: () => clearTimeout(timer ?? undefined),
  };
}
