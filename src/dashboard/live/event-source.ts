/**
 * One page that listens (server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html). What it
 * does not take waits in this process: so nothing is sent to a page that is behind, and one that stays behind is let go;
 * its browser comes back by itself.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { LiveName } from '../api/live.ts';
import type { RedisHealth } from '../redis-watch.ts';

export type EventSource = {
  send(message: string): void;
  /** Behind: what was sent before has not been taken. */
  isBehind(): boolean;
  /** Resolves once it has caught up, or is gone. */
  caughtUp(): Promise<void>;
  /** Aborts once the page has gone, or was let go. */
  gone: AbortSignal;
  end(): void;
};

/** A page of 10,000 machines is several times as long: it is sent piece by piece. */
const BEHIND_BYTES = 1024 ** 2;
/** A phone in a tunnel; after that it begins anew. */
const PATIENCE_MS = 30_000;
/** Proxies close what is silent for a minute; a page cannot tell silence from a cable that was pulled. */
const HEARTBEAT_MS = 15_000;
/** How soon a browser comes back. */
const RETRY_MS = 2_000;

/** `headers`: what goes with every answer. `heartbeat`: said where nothing else was for a while. */
export function openEventSource(of: {
  raw: ServerResponse;
  headers: Readonly<Record<string, string | number | string[] | undefined>>;
  heartbeat: () => string;
  /** How long it may stay behind. */
  patienceMs?: number;
}): EventSource {
  const { raw, headers, heartbeat, patienceMs = PATIENCE_MS } = of;
  const ending = new AbortController();
  let behindSince: number | null = null;
  let sentAt = performance.now();
  const send = (message: string): void => {
    if (ending.signal.aborted) return;
    sentAt = performance.now();
    raw.write(message);
  };
  const isBehind = (): boolean => {
    if (raw.writableLength < BEHIND_BYTES) {
      behindSince = null;
      return false;
    }
    behindSince ??= performance.now();
    if (performance.now() - behindSince > patienceMs) raw.destroy();
    return true;
  };
  const heart = setInterval(() => {
    if (!isBehind() && performance.now() - sentAt >= HEARTBEAT_MS) send(heartbeat());
  }, HEARTBEAT_MS / 3);
  raw.once('close', () => {
    clearInterval(heart);
    ending.abort();
  });
  raw.on('error', () => {});
  raw.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Nginx would keep back what is sent.
    'x-accel-buffering': 'no',
  });
  send(`retry: ${RETRY_MS}\n\n`);
  return {
    send,
    isBehind,
    async caughtUp() {
      while (isBehind() && !ending.signal.aborted)
        await once(raw, 'drain', { signal: ending.signal }).catch(() => {});
    },
    gone: ending.signal,
    end: () => void raw.end(),
  };
}

/** `json` has no line breaks: JSON escapes them. */
export function liveMessage(name: LiveName, json: string, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${json}\n\n`;
}

export function healthMessage(health: RedisHealth): string {
  return liveMessage('health', JSON.stringify(health));
}
