/**
 * One server-sent stream of the page, shared by whoever shows what it brings.
 *
 *   opened ──► heard ──► lost ──► opened …        let go while nobody sees the page, or when the last watcher leaves
 *
 * The browser's EventSource reconnects by itself and says Last-Event-ID, but gives up for good when a proxy answers with an
 * error, and notices nothing when a laptop slept or a cable was pulled: then it is opened anew, with the id in the address.
 */
import type { LiveName } from '../../api/live.ts';
import { doubtSession } from './api.ts';
import { setServerNow } from './clock.ts';
import { applyMessages, type LiveMessage, type LiveState, NOTHING_LIVE } from './live-state.ts';

const NAMES: readonly LiveName[] = ['runs', 'run', 'machines', 'event', 'health'];
/** A server that lives says how it is every 15 s; one of these may get lost. */
const SILENCE_MS = 35_000;
/** What is opened anew brings the whole state at once. */
const ANSWER_MS = 8000;
const RETRY_MS = 2000;
const LONGEST_RETRY_MS = 20_000;
/** A page that nobody sees holds one of the six connections that a browser has to a server. */
const UNSEEN_MS = 30_000;
/** From one page to the next the stream stays. */
const LINGER_MS = 3000;

export type LiveStream = {
  read: () => LiveState;
  subscribe: (listener: () => void) => () => void;
};

const streams = new Map<string, LiveStream>();

/** `run` null: of all runs. */
export function liveStream(run: string | null): LiveStream {
  const key = run ?? '';
  const stream = streams.get(key) ?? createLiveStream(run, () => streams.delete(key));
  streams.set(key, stream);
  return stream;
}

function createLiveStream(run: string | null, onEnd: () => void): LiveStream {
  let state = NOTHING_LIVE;
  let source: EventSource | null = null;
  let lastId = '';
  let retryMs = RETRY_MS;
  let pending: LiveMessage[] = [];
  let frame: number | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let unseen: ReturnType<typeof setTimeout> | undefined;
  let linger: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<() => void>();

  const set = (next: LiveState): void => {
    state = next;
    for (const listener of listeners) listener();
  };

  const open = (): void => {
    close();
    source = new EventSource(address(run, lastId));
    source.onerror = () => {
      if (state.link !== 'lost') set({ ...state, link: 'lost' });
      if (source?.readyState !== EventSource.CLOSED) return;
      // It was answered with an error, and which one a page is not told: maybe nobody is logged in any more.
      doubtSession();
      openLater();
    };
    for (const name of NAMES) source.addEventListener(name, (message) => take(name, message));
    silence = setTimeout(giveUp, ANSWER_MS);
  };

  const close = (): void => {
    source?.close();
    source = null;
    clearTimeout(retry);
    clearTimeout(silence);
  };

  const openLater = (): void => {
    close();
    retry = setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 1.5, LONGEST_RETRY_MS);
  };

  const giveUp = (): void => {
    set({ ...state, link: 'lost' });
    openLater();
  };

  const take = (name: LiveName, { data, lastEventId }: MessageEvent<string>): void => {
    retryMs = RETRY_MS;
    clearTimeout(silence);
    silence = setTimeout(open, SILENCE_MS);
    if (lastEventId !== '') lastId = lastEventId;
    const message = { name, data: JSON.parse(data) } as LiveMessage;
    if ('now' in message.data && typeof message.data.now === 'number') setServerNow(message.data.now);
    pending.push(message);
    frame ??= requestAnimationFrame(flush);
  };

  const flush = (): void => {
    frame = null;
    const messages = pending;
    pending = [];
    set({ ...applyMessages(state, messages), link: 'open', heardAt: Date.now() });
  };

  const onVisibility = (): void => {
    clearTimeout(unseen);
    if (document.hidden) unseen = setTimeout(close, UNSEEN_MS);
    else if (source === null) open();
  };

  const end = (): void => {
    close();
    clearTimeout(unseen);
    if (frame !== null) cancelAnimationFrame(frame);
    document.removeEventListener('visibilitychange', onVisibility);
    onEnd();
  };

  const subscribe = (listener: () => void): (() => void) => {
    listeners.add(listener);
    clearTimeout(linger);
    if (listeners.size === 1 && source === null) {
      document.addEventListener('visibilitychange', onVisibility);
      open();
    }
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) linger = setTimeout(end, LINGER_MS);
    };
  };

  return { read: () => state, subscribe };
}

function address(run: string | null, lastId: string): string {
  const given = { ...(run === null ? {} : { run }), ...(lastId === '' ? {} : { lastEventId: lastId }) };
  const query = new URLSearchParams(given).toString();
  return `/api/live${query === '' ? '' : `?${query}`}`;
}
