/** Pages that do not take what they are sent. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type EventSource, liveMessage, openEventSource } from '../../src/dashboard/live/event-source.ts';

const UNTIL = { timeout: 10_000, interval: 20 };
const PATIENCE_MS = 500;
const STUCK_TURNS = 50;
const MESSAGE = liveMessage('run', JSON.stringify('x'.repeat(64 * 1024)));

let server: Server;
let page: Socket;
let source: EventSource;

beforeEach(async () => {
  const opened = Promise.withResolvers<EventSource>();
  server = createServer((_request, raw) =>
    opened.resolve(
      openEventSource({ raw, headers: {}, heartbeat: () => ': beat\n\n', patienceMs: PATIENCE_MS }),
    ),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  page = connect((server.address() as AddressInfo).port, '127.0.0.1');
  page.on('error', () => {});
  page.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  source = await opened.promise;
});
afterEach(() => {
  page.destroy();
  server.close();
});

/** Until the kernel holds back all that it ever does for one connection, and nothing goes on. */
async function fill(): Promise<void> {
  let stuck = 0;
  while (stuck < STUCK_TURNS && !source.gone.aborted) {
    stuck = source.isBehind() ? stuck + 1 : 0;
    while (!source.isBehind()) source.send(MESSAGE);
    await nextTurn();
  }
}

describe('a page that takes nothing', () => {
  it('is behind after some megabytes, and let go after a while', async () => {
    page.pause();
    await fill();
    expect(source.isBehind()).toBe(true);
    await vi.waitFor(() => {
      source.isBehind();
      expect(source.gone.aborted).toBe(true);
    }, UNTIL);
    source.send(MESSAGE);
  });

  it('that catches up stays', async () => {
    page.pause();
    await fill();
    page.resume();
    await source.caughtUp();
    expect(source.isBehind()).toBe(false);
    expect(source.gone.aborted).toBe(false);
  });
});

describe('a page that goes', () => {
  it('keeps nobody waiting for it', async () => {
    page.pause();
    await fill();
    const caughtUp = source.caughtUp();
    page.destroy();
    await caughtUp;
    expect(source.gone.aborted).toBe(true);
  });
});
