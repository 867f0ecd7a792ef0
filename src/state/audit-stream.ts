/** Who did what that is of no run: pools, logins. What is of a run is among its events. */
import type { Redis } from 'ioredis';
import { keys } from './keys.ts';

export type AuditEntry = { by: string; action: string; reason: string | null };

export type StoredAuditEntry = AuditEntry & {
  /** The stream's id: grows, and resumes a reader. */
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
};

export interface AuditStream {
  append(entry: AuditEntry): Promise<void>;
  /** Entries after `id` (from the start: "0", which is the default), oldest first, up to now. */
  readAll(afterId?: string): AsyncIterable<StoredAuditEntry>;
  /** Entries before `id` (from the end: "+"), newest first. */
  readBack(beforeId: string): AsyncIterable<StoredAuditEntry>;
}

/** Years of pools and logins; older ones go first. */
const KEPT = 100_000;
const PAGE = 500;

export function createAuditStream(redis: Redis): AuditStream {
  return {
    async append({ by, action, reason }) {
      const json = JSON.stringify({ by, action, reason });
      await redis.xadd(keys.audit, 'MAXLEN', '~', KEPT, '*', 'entry', json);
    },
    async *readAll(afterId = '0') {
      let last = afterId;
      for (;;) {
        const from = last === '0' ? '-' : `(${last}`;
        const page = await redis.xrange(keys.audit, from, '+', 'COUNT', PAGE);
        for (const [id, fields] of page) yield storedEntry(id, fields);
        last = page.at(-1)?.[0] ?? last;
        if (page.length < PAGE) return;
      }
    },
    async *readBack(beforeId) {
      let before = beforeId === '+' ? '+' : `(${beforeId}`;
      for (;;) {
        const page = await redis.xrevrange(keys.audit, before, '-', 'COUNT', PAGE);
        for (const [id, fields] of page) yield storedEntry(id, fields);
        const last = page.at(-1)?.[0];
        if (page.length < PAGE || last === undefined) return;
        before = `(${last}`;
      }
    },
  };
}

function storedEntry(id: string, fields: readonly string[]): StoredAuditEntry {
  return { ...(JSON.parse(fields[1] ?? '{}') as AuditEntry), id, at: Number(id.split('-')[0]) };
}
