/** So many at once, first come, first served. */

export type Slots = {
  /** Resolves once a place is free; dispose to give it back. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<Disposable>;
  /** Would `take` have to wait? */
  isFull(): boolean;
};

export function createSlots(limit: number): Slots {
  let taken = 0;
  const waiting = new Set<() => void>();
  const give = (): void => {
    taken -= 1;
    const [next] = waiting;
    next?.();
  };
  return {
    isFull: () => taken >= limit,
    async take(signal) {
      while (taken >= limit) await waitForTurn(waiting, signal);
      signal.throwIfAborted();
      taken += 1;
      let isHeld = true;
      return {
        [Symbol.dispose]: () => {
          if (isHeld) give();
          isHeld = false;
        },
      };
    },
  };
}

function waitForTurn(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => {
    waiting.delete(wake);
    reject(signal.reason);
  };
  const wake = (): void => {
    waiting.delete(wake);
    signal.removeEventListener('abort', abort);
    resolve();
  };
  waiting.add(wake);
  signal.addEventListener('abort', abort, { once: true });
  return promise;
}
