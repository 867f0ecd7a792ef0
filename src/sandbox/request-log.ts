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
  /** How often each block of a snapshot was stored, by its index. */
  storedBlocks(snapshotId: string): ReadonlyMap<number, number>;
  /** How often pages of this managed disk were written from each offset, in bytes. */
  writtenPages(diskName: string): ReadonlyMap<number, number>;
  /** How many bytes of pages this managed disk took, those that were written again counted again. */
  writtenPageBytes(diskName: string): number;
  /** How often they were cleared. */
  clearedPages(diskName: string): ReadonlyMap<number, number>;
  clear(): void;
};

export type LoggedRequest = {
  service: FaultedService;
  action: string;
  part: { bucket: string; key: string; number: number } | null;
  block?: { snapshotId: string; index: number } | null;
  pages?: { diskName: string; offsetBytes: number; lengthBytes: number; isClear: boolean } | null;
};

export type WritableRequestLog = RequestLog & {
  arrive(request: LoggedRequest): void;
  succeed(request: LoggedRequest): void;
};

/** The oldest keys', snapshots' and disks' counts are forgotten beyond this: a sandbox may run for months. */
const MAX_KEYS = 256;

export function createRequestLog(): WritableRequestLog {
  const received = new Map<string, number>();
  const succeeded = new Map<string, number>();
  const parts = new Map<string, Map<number, number>>();
  const blocks = new Map<string, Map<number, number>>();
  const written = new Map<string, Map<number, number>>();
  const writtenBytes = new Map<string, number>();
  const cleared = new Map<string, Map<number, number>>();
  return {
    received: (service, action) => received.get(`${service}:${action}`) ?? 0,
    receivedByAction: () => Object.fromEntries(received),
    succeeded: (service, action) => succeeded.get(`${service}:${action}`) ?? 0,
    storedParts: (bucket, key) => parts.get(`${bucket}/${key}`) ?? new Map(),
    storedBlocks: (snapshotId) => blocks.get(snapshotId) ?? new Map(),
    writtenPages: (diskName) => written.get(diskName) ?? new Map(),
    writtenPageBytes: (diskName) => writtenBytes.get(diskName) ?? 0,
    clearedPages: (diskName) => cleared.get(diskName) ?? new Map(),
    clear: () => {
      for (const counts of [received, succeeded, parts, blocks, written, writtenBytes, cleared])
        counts.clear();
    },
    arrive: ({ service, action }) => increment(received, `${service}:${action}`),
    succeed({ service, action, part, block, pages }) {
      increment(succeeded, `${service}:${action}`);
      if (part !== null) countWithin(parts, `${part.bucket}/${part.key}`, part.number);
      if (block) countWithin(blocks, block.snapshotId, block.index);
      if (pages) countWithin(pages.isClear ? cleared : written, pages.diskName, pages.offsetBytes);
      if (pages && !pages.isClear) {
        increment(writtenBytes, pages.diskName, pages.lengthBytes);
        forgetOldest(writtenBytes);
      }
    },
  };
}

function countWithin(all: Map<string, Map<number, number>>, name: string, number: number): void {
  const counts = all.get(name) ?? new Map<number, number>();
  all.set(name, counts);
  increment(counts, number);
  forgetOldest(all);
}

function forgetOldest(all: Map<string, unknown>): void {
  const [oldest] = all.keys();
  if (all.size > MAX_KEYS && oldest !== undefined) all.delete(oldest);
}

function increment<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
