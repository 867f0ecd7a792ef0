import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openQmp, type Qmp } from '../../src/boot/qmp.ts';
import type { JsonObject } from '../../src/domain/json.ts';

/** What the other side does with a command; it greets and negotiates by itself. */
type Answer = (command: { execute: string; id: number }, peer: Socket) => void;

let folder: string;
let server: Server;
let events: [string, JsonObject][];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-test-'));
  events = [];
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const say = (peer: Socket, message: unknown): void => void peer.write(`${JSON.stringify(message)}\r\n`);

async function openWith(answer: Answer): Promise<Qmp> {
  const path = join(folder, 'qmp');
  server = createServer((peer) => {
    peer.on('error', () => undefined);
    say(peer, { QMP: { version: {}, capabilities: [] } });
    const lines = createInterface(peer).on('error', () => undefined);
    lines.on('line', (line) => {
      const command = JSON.parse(line);
      if (command.execute === 'qmp_capabilities') say(peer, { return: {}, id: command.id });
      else answer(command, peer);
    });
  });
  await new Promise<void>((done) => server.listen(path, done));
  const socket = connect(path);
  return openQmp({ guest: 'web01', socket, onEvent: (name, data) => events.push([name, data]) });
}

test('answers are matched by id, whatever their order, and events are told', async () => {
  const held: { execute: string; id: number }[] = [];
  using qmp = await openWith((command, peer) => {
    held.push(command);
    if (held.length < 2) return;
    say(peer, { event: 'RESET', data: { guest: true } });
    for (const { execute, id } of held.toReversed()) say(peer, { return: execute, id });
  });
  const answers = await Promise.all([qmp.execute({ command: 'one' }), qmp.execute({ command: 'two' })]);
  expect(answers).toEqual(['one', 'two']);
  expect(events).toEqual([['RESET', { guest: true }]]);
});

test('a refusal names the command, the guest and the reason', async () => {
  using qmp = await openWith(({ id }, peer) => say(peer, { error: { desc: 'no such device' }, id }));
  await expect(qmp.execute({ command: 'screendump' })).rejects.toMatchObject({
    code: 'boot-failed',
    message: expect.stringMatching(/screendump.*web01.*no such device/),
  });
});

test('a peer that never answers costs the timeout and no more', async () => {
  using qmp = await openWith(() => undefined);
  await expect(qmp.execute({ command: 'screendump', timeoutMs: 30 })).rejects.toMatchObject({
    retryable: true,
  });
});

test('an abort ends the wait with its reason', async () => {
  const abort = new AbortController();
  using qmp = await openWith(() => abort.abort(new Error('the operator cancelled')));
  await expect(qmp.execute({ command: 'screendump', signal: abort.signal })).rejects.toThrow(
    /operator cancelled/,
  );
});

test('a peer that goes away fails what waits and what comes later', async () => {
  using qmp = await openWith((_command, peer) => peer.destroy());
  await expect(qmp.execute({ command: 'screendump' })).rejects.toThrow(/web01 has stopped/);
  await qmp.closed;
  await expect(qmp.execute({ command: 'screendump' })).rejects.toThrow(/web01 has stopped/);
});

test.each([
  ['is no JSON', 'not json\n'],
  ['never ends', '{'.repeat(2 * 1024 * 1024)],
])('a peer whose line %s is cut off', async (_name, line) => {
  using qmp = await openWith((_command, peer) => void peer.write(line));
  await expect(qmp.execute({ command: 'screendump' })).rejects.toThrow(/web01 has stopped/);
});
