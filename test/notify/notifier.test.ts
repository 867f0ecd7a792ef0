import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RunEvent } from '../../src/domain/events.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { NoticeChannel } from '../../src/domain/wave.ts';
import { startNotifier } from '../../src/notify/notifier.ts';
import { startTool } from '../../src/processes/child.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';
import { type Mailbox, startMailbox, startWebhook, type Webhook } from './receivers.ts';

const ALL = ['failed', 'held', 'approval-wanted', 'window-at-risk', 'rolled-back', 'landed'] as const;

let server: RedisServer;
let state: State;
let webhook: Webhook;
let stack: AsyncDisposableStack;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  stack = new AsyncDisposableStack();
  webhook = stack.use(await startWebhook());
});
afterEach(() => stack.disposeAsync());
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const toWebhook = (on: NoticeChannel['on'] = ALL): NoticeChannel => ({
  kind: 'webhook',
  url: webhook.url,
  on,
});

async function makeRunWith(
  notify: readonly NoticeChannel[],
  over: Partial<RunRecord> = {},
): Promise<RunRecord> {
  const made = makeRun('r1', { ...makeWave('weekend', ['a', 'b', 'c']), notify });
  const run = { ...made, ...over, wave: { ...made.wave, ...over.wave } };
  await state.runs.create(run, makeRecords(run));
  return run;
}

function notify(bundleMs = 0): void {
  stack.use(startNotifier({ state, onError: () => {}, bundleMs, lookEveryMs: 20, retryMs: 50 }));
}

const failed = (machine: string): RunEvent => ({
  type: 'machine',
  run: 'r1',
  machine,
  status: 'failed',
  error: { code: 'boot-timeout', message: `${machine} said nothing.\nMore.`, retryable: false, context: {} },
});

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 8_000, interval: 20 });

describe('a webhook', () => {
  test('is posted what happened: topic, run, wave, machine, text, time', async () => {
    await makeRunWith([toWebhook()]);
    await state.events.append(failed('a'));
    notify();
    await until(() => expect(webhook.posts).toHaveLength(1));
    expect(webhook.posts[0]).toEqual({
      id: expect.stringMatching(/^r1\.failed\.\d+-0$/),
      topic: 'failed',
      run: 'r1',
      wave: 'weekend',
      machine: 'a',
      machines: ['a'],
      text: 'a failed: a said nothing. Then: `landfall status r1`.',
      at: expect.any(Number),
    });
  });

  test('hears of the topics that it asked for, and of no others', async () => {
    await makeRunWith([toWebhook(['landed'])]);
    await state.events.append(failed('a'));
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    notify();
    await until(() => expect(webhook.posts.map(({ topic }) => topic)).toEqual(['landed']));
  });

  test('that leads elsewhere has not been told', async () => {
    await makeRunWith([toWebhook()]);
    webhook.answer(302);
    await state.events.append(failed('a'));
    notify();
    await vi.waitFor(async () =>
      expect(await remarks()).toEqual([expect.stringContaining('it answered 302')]),
    );
  });

  test('whose address is refused for the secret in it is told of without that secret', async () => {
    process.env.LANDFALL_TEST_CHAT = 'http://bot:s3cr3t@127.0.0.1:1/';
    await makeRunWith([{ ...toWebhook(), kind: 'webhook', url: `\${env:LANDFALL_TEST_CHAT}` }]);
    await state.events.append(failed('a'));
    notify();
    await vi.waitFor(async () => expect(await remarks()).toHaveLength(1));
    delete process.env.LANDFALL_TEST_CHAT;
    expect((await remarks()).join()).not.toContain('s3cr3t');
  });

  test('gets machines that fail at once in one message, each named', async () => {
    await makeRunWith([toWebhook()]);
    notify(400);
    for (const machine of ['a', 'b', 'c']) await state.events.append(failed(machine));
    await until(() => expect(webhook.posts).toHaveLength(1));
    expect(webhook.posts[0]).toMatchObject({ machine: null, machines: ['a', 'b', 'c'] });
  });

  test('that refuses is told in the events once, and gets all of it once it answers', async () => {
    await makeRunWith([toWebhook()]);
    webhook.answer(503);
    const tries: string[] = [];
    webhook.onPost(({ id }) => void tries.push(id));
    await state.events.append(failed('a'));
    notify();
    await until(() => expect(tries.length).toBeGreaterThan(1));
    webhook.answer(200);
    await until(() => expect(webhook.posts).toHaveLength(1));
    await vi.waitFor(async () => expect(await remarks()).toHaveLength(2));
    expect(await remarks()).toEqual([
      expect.stringMatching(
        /^Notices do not reach the webhook http:\/\/127\.0\.0\.1:\d+: it answered 503 Service/,
      ),
      expect.stringMatching(/^Notices reach the webhook http:\/\/127\.0\.0\.1:\d+ again\.$/),
    ]);
  });

  test('that is away keeps nobody else from being told', async () => {
    await using mailbox = await startMailbox();
    const away: NoticeChannel = { kind: 'webhook', url: 'http://127.0.0.1:1/', on: ALL };
    await makeRunWith([away, toMailbox(mailbox)]);
    await state.events.append(failed('a'));
    notify();
    await until(() => expect(mailbox.letters).toHaveLength(1));
  });

  test('is posted once although many processes schedule', async () => {
    await makeRunWith([toWebhook()]);
    for (let i = 0; i < 3; i += 1) notify();
    await state.events.append(failed('a'));
    await until(() => expect(webhook.posts).toHaveLength(1));
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    await until(() => expect(webhook.posts).toHaveLength(2));
    expect(webhook.posts.map(({ topic }) => topic)).toEqual(['failed', 'landed']);
  });

  test('is told again, and not left out, when its sender is killed between sending and marking', async () => {
    await makeRunWith([toWebhook()]);
    await state.events.append(failed('a'));
    const script = join(import.meta.dirname, 'notifier-process.ts');
    await using sender = await startTool({ command: process.execPath, args: [script, server.url] });
    webhook.onPost(() => process.kill(sender.pid, 'SIGKILL'));
    await sender.exited;
    expect(webhook.posts).toHaveLength(1);
    webhook.onPost(() => {});
    await state.redis.del('{landfall}:lease:-:-:notify'); // ends by itself after 10 s
    notify();
    await until(() => expect(webhook.posts).toHaveLength(2));
    expect(webhook.posts[1]).toEqual(webhook.posts[0]);
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    await until(() => expect(webhook.posts).toHaveLength(3));
  });
});

describe('mail', () => {
  test('is a letter to all, with what happened in its subject', async () => {
    await using mailbox = await startMailbox();
    await makeRunWith([toMailbox(mailbox)]);
    await state.events.append(failed('a'));
    notify();
    await until(() => expect(mailbox.letters).toHaveLength(1));
    const [letter] = mailbox.letters;
    expect(letter?.to).toEqual(['ops@example.com', 'dba@example.com']);
    expect(letter?.text).toMatch(/^Subject: \[landfall\] weekend: a failed\r?$/m);
    expect(letter?.text).toContain('a failed: a said nothing.');
  });

  test('is sent once though its server thinks for long before it says that it took it', async () => {
    await using mailbox = await startMailbox({ thinksMs: 11_000 });
    await makeRunWith([toMailbox(mailbox)]);
    await state.events.append(failed('a'));
    notify();
    await vi.waitFor(async () => expect(mailbox.answered()).toBe(1), { timeout: 15_000 });
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    await vi.waitFor(() => expect(mailbox.letters).toHaveLength(2), { timeout: 5_000 });
    expect(mailbox.letters[1]?.text).not.toContain('a failed');
  }, 25_000);
});

describe('mail to somebody whom the server does not take', () => {
  test('reaches the others once, and is told of in the events', async () => {
    await using mailbox = await startMailbox({ refuses: 'dba@example.com' });
    await makeRunWith([toMailbox(mailbox)]);
    await state.events.append(failed('a'));
    notify();
    await vi.waitFor(async () =>
      expect(await remarks()).toEqual([
        expect.stringMatching(/^Notices do not reach dba@example\.com: mail by smtp:/),
      ]),
    );
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    await until(() => expect(mailbox.letters).toHaveLength(2));
    expect(mailbox.letters.map(({ to }) => to)).toEqual([['ops@example.com'], ['ops@example.com']]);
    expect(await remarks()).toHaveLength(1);
  });
});

describe('what no event says', () => {
  test('approval is wanted: told once, also by the next sender', async () => {
    const run = makeRun('r1', makeWave('weekend', ['a']));
    await makeRunWith([toWebhook()], {
      status: 'scheduled',
      wave: { ...run.wave, notify: [toWebhook()], isApprovalRequired: true },
    });
    const first = startNotifier({ state, onError: () => {}, bundleMs: 0, lookEveryMs: 20 });
    await until(() => expect(webhook.posts).toHaveLength(1));
    await vi.waitFor(async () => expect(await state.redis.exists('{landfall}:run:r1:notices')).toBe(1));
    await first[Symbol.asyncDispose]();
    expect(webhook.posts[0]).toMatchObject({ topic: 'approval-wanted', machine: null });
    expect(webhook.posts[0]?.text).toContain('`landfall approve r1`');
    notify();
    await state.events.append({ type: 'run', run: 'r1', status: 'landed' });
    await until(() => expect(webhook.posts).toHaveLength(2));
    expect(webhook.posts[1]?.topic).toBe('landed');
  });

  test('a window closes over machines that are not proven: they are named', async () => {
    const now = await state.clock.now();
    const spec = {
      kind: 'once',
      timezone: 'Europe/Berlin',
      rollbackSeconds: 600,
      opens: '',
      closes: '',
    } as const;
    const wave = { ...makeWave('weekend', ['a', 'b']), notify: [toWebhook()], window: spec };
    const run = { ...makeRun('r1', wave), window: { opensAt: now - 1, closesAt: now + 300_000 } };
    const [a, b] = makeRecords(run);
    if (a === undefined || b === undefined) throw new Error('no records');
    await state.runs.create(run, [a, b]);
    const reply = await state.machines.commit({
      record: { ...a, status: 'moving', startedAt: now },
      events: [],
      limit: 5,
      lease: null,
    });
    expect(reply.kind).toBe('committed');
    notify();
    await until(() => expect(webhook.posts).toHaveLength(1));
    expect(webhook.posts[0]).toMatchObject({ topic: 'window-at-risk', machine: 'a' });
    expect(webhook.posts[0]?.text).toMatch(/Europe\/Berlin: a\. What is not proven then is rolled back/);
  });
});

const toMailbox = ({ url }: Mailbox): NoticeChannel => ({
  kind: 'mail',
  smtp: url,
  from: 'landfall@example.com',
  to: ['ops@example.com', 'dba@example.com'],
  on: ALL,
});

async function remarks(): Promise<string[]> {
  const events = await Array.fromAsync(state.events.readAll('r1', '0'));
  return events.flatMap((event) => (event.type === 'remark' ? [event.message] : []));
}
