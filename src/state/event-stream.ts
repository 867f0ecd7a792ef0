/** The run's events: appended by commits and by workers, read by `watch`, `logs` and the dashboard. */
import type { Redis } from 'ioredis';
import type { RunEvent, StoredEvent } from '../domain/events.ts';
import { keys } from './keys.ts';

/** About 400 machines × 6 steps × a few events and lines each; older ones go first. */
export const EVENTS_KEPT = 50_000;

const PAGE = 500;

export interface EventStream {
  append(event: RunEvent): Promise<void>;
  /** Events after `id` (from the start: "0"), oldest first, up to now. */
  readAll(run: string, afterId: string): AsyncIterable<StoredEvent>;
  /** Events before `id` (from the end: "+"), newest first. */
  readBack(run: string, beforeId: string): AsyncIterable<StoredEvent>;
  /** Of the newest event; "0": there is none. */
  newestId(run: string): Promise<string>;
}

export function createEventStream(redis: Redis): EventStream {
  return {
    async append(event) {
      await redis.xadd(
        keys.events(event.run),
        'MAXLEN',
        '~',
        EVENTS_KEPT,
        '*',
        'event',
        JSON.stringify(event),
      );
    },

    async *readAll(run, afterId) {
      let last = afterId;
      for (;;) {
        const page = await readPage(redis, run, last);
        yield* page;
        last = page.at(-1)?.id ?? last;
        if (page.length < PAGE) return;
      }
    },

    async *readBack(run, beforeId) {
      let before = beforeId === '+' ? '+' : `(${beforeId}`;
      for (;;) {
        const entries = await redis.xrevrange(keys.events(run), before, '-', 'COUNT', PAGE);
        for (const [id, fields] of entries) yield storedEvent(id, fields);
        const last = entries.at(-1)?.[0];
        if (entries.length < PAGE || last === undefined) return;
        before = `(${last}`;
      }
    },

    async newestId(run) {
      const [newest] = await redis.xrevrange(keys.events(run), '+', '-', 'COUNT', 1);
      return newest?.[0] ?? '0';
    },
  };
}

async function readPage(redis: Redis, run: string, afterId: string): Promise<StoredEvent[]> {
  const from = afterId === '0' ? '-' : `(${afterId}`;
  const entries = await redis.xrange(keys.events(run), from, '+', 'COUNT', PAGE);
  return entries.map(([id, fields]) => storedEvent(id, fields));
}

function storedEvent(id: string, fields: readonly string[]): StoredEvent {
  return { ...(JSON.parse(fields[1] ?? '{}') as RunEvent), id, at: Number(id.split('-')[0]) };
}
