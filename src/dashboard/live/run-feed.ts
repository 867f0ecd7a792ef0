/** What one page has seen of a run, and what it is still to be sent. */
import type { StoredEvent } from '../../domain/events.ts';
import type { State } from '../../state/state.ts';
import type { RunBoard } from '../board/run-board.ts';
import { showEvent } from '../board/shown-event.ts';
import { type EventSource, liveMessage } from './event-source.ts';

export type RunFeed = {
  run: string;
  page: EventSource;
  /** Sends what is new, unless the page is still busy with what was sent before. */
  tell(board: RunBoard): Promise<void>;
};

/** Some 400 KB. */
const LINES_AT_ONCE = 500;

export function createRunFeed(of: {
  page: EventSource;
  run: string;
  /** Of the last event that the page has seen; null: it begins with the next one. */
  afterId: string | null;
  state: State;
}): RunFeed {
  const { page, run, state } = of;
  let board: RunBoard | null = null;
  let [revision, summary] = [0, ''];
  let eventId = of.afterId;
  let isBusy = false;

  const sendSummary = (): void => {
    const json = board?.summaryJson() ?? '';
    if (json === summary) return;
    // With the first one the page learns from where on it is told events, should it have to come back.
    const id = summary === '' ? (eventId ?? undefined) : undefined;
    summary = json;
    page.send(liveMessage('run', `{"now":${board?.now()},"run":${json}}`, id));
  };

  const sendLines = async (from: RunBoard): Promise<void> => {
    const lines = from.lines.since(revision);
    revision = from.lines.revision();
    for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
      await page.caughtUp();
      const some = lines.slice(at, at + LINES_AT_ONCE).join();
      page.send(liveMessage('machines', `{"now":${from.now()},"machines":[${some}]}`));
    }
  };

  const sendEvents = async (events: Iterable<StoredEvent> | AsyncIterable<StoredEvent>): Promise<void> => {
    for await (const event of events) {
      if (page.isBehind()) await page.caughtUp();
      if (page.gone.aborted) return;
      page.send(liveMessage('event', eventJson(event), event.id));
      eventId = event.id;
    }
  };

  const sendNews = async (from: RunBoard): Promise<void> => {
    // Another board of the same run counts its revisions from the start.
    if (board !== from) revision = 0;
    board = from;
    eventId ??= from.events.newestId();
    sendSummary();
    await sendLines(from);
    const kept = from.events.after(eventId);
    if (kept !== null) return sendEvents(kept);
    // It was away for long: what is not kept here any more is in the stream.
    await sendEvents(state.events.readAll(run, eventId));
  };

  return {
    run,
    page,
    async tell(from) {
      if (isBusy || page.isBehind()) return;
      isBusy = true;
      try {
        await sendNews(from);
      } finally {
        isBusy = false;
      }
    },
  };
}

/** Written once, however many pages get it. */
const written = new WeakMap<StoredEvent, string>();

function eventJson(event: StoredEvent): string {
  const known = written.get(event);
  if (known !== undefined) return known;
  const json = JSON.stringify(showEvent(event));
  written.set(event, json);
  return json;
}
