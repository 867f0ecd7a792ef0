/** What the sandbox was asked, in counts: tests prove with it that what is held is not sent again. */
import type { FaultedService } from './faults.ts';

export type RequestLog = {
  /** Requests of an action that arrived, whatever became of them. */
  received(service: FaultedService, action: string): number;
  /** The same for every action that was asked for, by `service:action`. */
  receivedByAction(): Readonly<Record<string, number>>;
  /** Those that were answered with a status below 400. */
  succeeded(service: FaultedService, action: string): number;
  /** How often each part of the uploads to this key was stored, by part number. */
  storedParts(bucket: string, key: string): ReadonlyMap<number, number>;
  clear(): void;
};

export type LoggedRequest = {
  service: FaultedService;
  action: string;
  part: { bucket: string; key: string; number: number } | null;
};

export type WritableRequestLog = RequestLog & {
  arrive(request: LoggedRequest): void;
  succeed(request: LoggedRequest): void;
};

/** The oldest keys' part counts are forgotten beyond this: a sandbox may run for months. */
const MAX_KEYS = 256;

export function createRequestLog(): WritableRequestLog {
  const received = new Map<string, number>();
  const succeeded = new Map<string, number>();
  const parts = new Map<string, Map<number, number>>();
  return {
    received: (service, action) => received.get(`${service}:${action}`) ?? 0,
    receivedByAction: () => Object.fromEntries(received),
    succeeded: (service, action) => succeeded.get(`${service}:${action}`) ?? 0,
    storedParts: (bucket, key) => parts.get(`${bucket}/${key}`) ?? new Map(),
    clear: () => {
      for (const counts of [received, succeeded, parts]) counts.clear();
    },
    arrive: ({ service, action }) => increment(received, `${service}:${action}`),
    succeed({ service, action, part }) {
      increment(succeeded, `${service}:${action}`);
      if (part === null) return;
      const name = `${part.bucket}/${part.key}`;
      const counts = parts.get(name) ?? new Map<number, number>();
      parts.set(name, counts);
      increment(counts, part.number);
      const [oldest] = parts.keys();
      if (parts.size > MAX_KEYS && oldest !== undefined) parts.delete(oldest);
    },
  };
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
