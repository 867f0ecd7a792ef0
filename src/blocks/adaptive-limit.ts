/**
 * How many requests may be under way to a service that says when it is too much. Nobody knows the right number
 * beforehand: it follows from the account's quotas, the distance and who else is at work. So it is found as TCP finds
 * its window (RFC 5681): it doubles with every round of answers until the first throttle, and from then on it grows by
 * one a round and shrinks by a third at a throttle.
 *
 *   starting ──throttled──► settling ──what was under way then has ended──► growing ──throttled──► settling …
 *
 * While it settles, throttles are echoes of the requests that were under way already, and successes are theirs, too:
 * neither counts.
 */
export type AdaptiveLimit = {
  /** Runs one request in its turn: `acquire`, the request, `succeeded` where it resolved, `release`. */
  run<T>(request: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Waits for its turn, first come, first served. Each call that resolved needs one `release`. Rejects on abort. */
  acquire(signal: AbortSignal): Promise<void>;
  /** Once for each `acquire`, however the request ended; after `succeeded` or `throttled`. */
  release(): void;
  /** A request under way was answered with "slow down", also where it will be tried again under the same `acquire`. */
  throttled(): void;
  /** A request under way was answered. */
  succeeded(): void;
  /** How many may be under way now, and are. */
  limit(): number;
  inFlight(): number;
};

/** As in CUBIC (RFC 9438) and in the AWS SDK's adaptive mode: mean use stays at 85 % where halving would leave 75 %. */
const BACK_OFF = 0.7;

/** Pure: what the limit makes of what it sees. */
export type LimitState = {
  /** With its fraction; requests see the whole number below. */
  limit: number;
  isStarting: boolean;
  /** Requests that were under way at the last back-off and have not ended yet. */
  echoes: number;
};

/** `inFlight` counts the request itself: growth that nobody uses would say nothing of what the service takes. */
export function grow(state: LimitState, { inFlight, max }: { inFlight: number; max: number }): LimitState {
  if (state.echoes > 0 || inFlight < Math.floor(state.limit)) return state;
  const step = state.isStarting ? 1 : 1 / state.limit;
  return { ...state, limit: Math.min(max, state.limit + step) };
}

export function backOff(state: LimitState, { inFlight }: { inFlight: number }): LimitState {
  if (state.echoes > 0) return state;
  return { limit: Math.max(1, state.limit * BACK_OFF), isStarting: false, echoes: inFlight };
}

export function settle(state: LimitState): LimitState {
  return state.echoes === 0 ? state : { ...state, echoes: state.echoes - 1 };
}

export function createAdaptiveLimit({ start, max }: { start: number; max: number }): AdaptiveLimit {
  if (!(start >= 1 && max >= start)) throw new RangeError(`not a limit: from ${start} to ${max}`);
  let state: LimitState = { limit: start, isStarting: true, echoes: 0 };
  let inFlight = 0;
  /** In order of arrival; a Set gives up those that aborted at once. */
  const waiting = new Set<() => void>();

  const admit = (): void => {
    for (const start of waiting) {
      if (inFlight >= Math.floor(state.limit)) return;
      waiting.delete(start);
      inFlight += 1;
      start();
    }
  };
  const limit: AdaptiveLimit = {
    async run(request, signal) {
      await limit.acquire(signal);
      try {
        const answer = await request();
        limit.succeeded();
        return answer;
      } finally {
        limit.release();
      }
    },
    acquire(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const abort = (): void => {
          waiting.delete(begin);
          reject(signal.reason);
        };
        const begin = (): void => {
          signal.removeEventListener('abort', abort);
          resolve();
        };
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(begin);
        admit();
      });
    },
    release() {
      if (inFlight === 0) throw new RangeError('released more often than acquired');
      inFlight -= 1;
      state = settle(state);
      admit();
    },
    throttled() {
      state = backOff(state, { inFlight });
    },
    succeeded() {
      state = grow(state, { inFlight, max });
      admit();
    },
    limit: () => Math.floor(state.limit),
    inFlight: () => inFlight,
  };
  return limit;
}
