/**
 * Shares the connections to one server out among jobs: first come, first served, each request to the least busy one.
 */
import type { NbdConnection, NbdRequest } from './nbd-connection.ts';
import type { NbdExport } from './nbd-negotiation.ts';

/** What a caller wants, as one or several requests. */
export type NbdJob<T> = {
  done: Promise<T>;
  /**
   * The next request, for the connection over which the export was opened so; null when all were given out, or the job
   * is over.
   */
  next(opened: NbdExport): NbdRequest | null;
  /** Rejects `done`; replies that still come are dropped. */
  cancel(reason: unknown): void;
};

export type NbdQueue = {
  /** Throws the signal's reason as soon as it is aborted, and the reason of `fail`. */
  run<T>(job: NbdJob<T>, signal: AbortSignal): Promise<T>;
  /** Cancels all jobs, and each that comes later. */
  fail(reason: unknown): void;
};

export function createQueue(connections: readonly NbdConnection[], requestsEach: number): NbdQueue {
  const running = new Set<NbdJob<unknown>>();
  /** Those that may have requests to give out yet. */
  const waiting: NbdJob<unknown>[] = [];
  let failed: { reason: unknown } | null = null;

  const pump = (): void => {
    for (let job = waiting[0]; job !== undefined; job = waiting[0]) {
      const connection = leastBusy(connections);
      if (connection.inFlight >= requestsEach) return;
      const request = job.next(connection.export);
      if (request === null) waiting.shift();
      else connection.send(thenPump(request));
    }
  };
  const thenPump = (request: NbdRequest): NbdRequest => ({
    ...request,
    finish: () => {
      const failure = request.finish();
      pump();
      return failure;
    },
  });

  return {
    run: async (job, signal) => {
      signal.throwIfAborted();
      if (failed !== null) throw failed.reason;
      const abort = (): void => job.cancel(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      running.add(job);
      waiting.push(job);
      pump();
      try {
        return await job.done;
      } finally {
        running.delete(job);
        signal.removeEventListener('abort', abort);
      }
    },
    fail: (reason) => {
      failed ??= { reason };
      for (const job of running) job.cancel(reason);
    },
  };
}

function leastBusy([first, ...others]: readonly NbdConnection[]): NbdConnection {
  if (first === undefined) throw new TypeError('there are no connections');
  return others.reduce((least, each) => (each.inFlight < least.inFlight ? each : least), first);
}
