/** The newest events of a run, as they were read: for pages that look, and for those that come back after a while. */
import type { StoredEvent } from '../../domain/events.ts';
import type { State } from '../../state/state.ts';

export type EventBook = {
  /** Reads what happened since, and gives it. */
  read(): Promise<StoredEvent[]>;
  newestId(): string;
  /** After `id` up to the newest, oldest first; null: they are not kept here so long. */
  after(id: string): readonly StoredEvent[] | null;
};

/** Some minutes of a busy run. What is older is read from Redis again. */
const KEPT = 2_000;

export function createEventBook(
  state: State,
  { run, newestId }: { run: string; newestId: string },
): EventBook {
  let kept: StoredEvent[] = [];
  /** All events after this one are kept. */
  let floor = newestId;
  let newest = newestId;
  return {
    async read() {
      const news: StoredEvent[] = [];
      // All of them or none: what breaks off is read again.
      for await (const event of state.events.readAll(run, newest)) news.push(event);
      newest = news.at(-1)?.id ?? newest;
      kept = kept.concat(news);
      if (kept.length > KEPT) {
        floor = kept[kept.length - KEPT - 1]?.id ?? floor;
        kept = kept.slice(-KEPT);
      }
      return news;
    },
    newestId: () => newest,
    after(id) {
      if (id === newest) return [];
      if (compareEventIds(id, floor) < 0) return null;
      // The tail is what pages ask for: from the end it is found at once.
      const last = kept.findLastIndex((event) => compareEventIds(event.id, id) <= 0);
      return kept.slice(last + 1);
    },
  };
}

/** Ids of a stream are `MILLISECONDS-NUMBER` (https://redis.io/docs/latest/develop/data-types/streams/). */
export function compareEventIds(a: string, b: string): number {
  const [aTime = 0, aNumber = 0] = a.split('-').map(Number);
  const [bTime = 0, bNumber = 0] = b.split('-').map(Number);
  return aTime - bTime || aNumber - bNumber;
}
