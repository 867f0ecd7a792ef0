/** What is seen of a landing: live, then as it is kept. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { readConsole, readScreenshot } from '../../src/operations/read-landing.ts';
import { CONSOLE_CHARS } from '../../src/state/console-board.ts';
import type { RedisServer } from '../../src/state/redis-server.ts';
import { openState, type State } from '../../src/state/state.ts';
import { createFakeEvidence, type FakeEvidence } from '../fakes/evidence.ts';
import { makeRecords, makeRun, makeWave } from '../fakes/records.ts';
import { startTestRedis } from '../fakes/redis.ts';

const OF = { run: 'r1', machine: 'a' };
let server: RedisServer;
let state: State;
let evidence: FakeEvidence;

beforeAll(async () => {
  server = await startTestRedis();
  state = openState(server.url);
});
beforeEach(async () => {
  await state.redis.flushall();
  evidence = createFakeEvidence();
});
afterAll(async () => {
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function booting(isOver = false): MachineRecord {
  const [record] = makeRecords(makeRun('r1', makeWave('w', ['a'])));
  const step = record?.steps.validate;
  if (record === undefined || step === undefined) throw new Error('no record');
  const validate = { ...step, state: isOver ? ('done' as const) : ('active' as const) };
  return {
    ...record,
    status: isOver ? 'landed' : 'moving',
    steps: { ...record.steps, validate },
    landing: { kind: 'fake', id: 'i-1', ref: {} },
  };
}

const show = (console: string | null, landing = 'i-1', screenshot: Uint8Array | null = null): Promise<void> =>
  state.consoles.write(OF, { landing, console, screenshot });
const read = (offset: number | null = null, isOver = false) =>
  readConsole({ state, evidence, record: booting(isOver) }, offset);

describe('the console of a landing that boots', () => {
  test('is read on from where a reader was', async () => {
    expect(await read()).toBeNull();
    await show('one\n');
    const first = await read();
    expect(first).toEqual({ text: 'one\n', offset: 0, nextOffset: 4, totalChars: 4, isLive: true });
    await show('one\ntwo\n');
    expect(await read(first?.nextOffset)).toMatchObject({ text: 'two\n', offset: 4, nextOffset: 8 });
    expect(await read(8)).toMatchObject({ text: '', offset: 8, nextOffset: 8 });
    expect(await read(99)).toMatchObject({ text: '', offset: 8, nextOffset: 8 });
  });

  test('goes on where its target forgets the beginning', async () => {
    const lines = Array.from({ length: 100 }, (_none, index) => `line ${index}\n`);
    await show(lines.slice(0, 60).join(''));
    const before = (await read())?.nextOffset ?? 0;
    await show(lines.slice(20, 70).join(''));
    expect((await read(before))?.text).toBe(lines.slice(60, 70).join(''));
  });

  test('costs no more for ten megabytes than for its end', async () => {
    const text = 'x'.repeat(10 * 1024 ** 2 - 4).concat('end\n');
    await show(text);
    const end = await read();
    expect(end).toMatchObject({ totalChars: text.length, nextOffset: text.length });
    expect([end?.text.length, end?.text.endsWith('xend\n')]).toEqual([CONSOLE_CHARS, true]);
    expect(await state.redis.memory('USAGE', '{landfall}:run:r1:console:a')).toBeLessThan(400_000);
    expect(await read(0)).toMatchObject({ offset: text.length - CONSOLE_CHARS });
  });

  test('is not that of a landing before it', async () => {
    await show('old', 'i-0');
    expect(await read()).toBeNull();
    await show('new');
    expect(await read()).toMatchObject({ text: 'new', totalChars: 3 });
  });

  test('is what is kept as evidence where nothing was new for long, and once it is over', async () => {
    await evidence.put('r1/a/console.txt', 'kept\n');
    expect(await read()).toMatchObject({ text: 'kept\n', isLive: true });
    await show('live\n');
    expect(await read()).toMatchObject({ text: 'live\n', isLive: true });
    expect(await read(null, true)).toMatchObject({ text: 'kept\n', isLive: false });
  });

  test('goes by itself', async () => {
    await show('x');
    expect(await state.redis.pttl('{landfall}:run:r1:console:a')).toBeGreaterThan(60_000);
  });
});

test('the newest screenshot is shown, that of this landing only, and then the one that is kept', async () => {
  const shot = () => readScreenshot({ state, evidence, record: booting() });
  expect(await shot()).toBeNull();
  await show(null, 'i-0', new Uint8Array([0]));
  expect(await shot()).toBeNull();
  await show(null, 'i-1', new Uint8Array([1, 255]));
  await show('more', 'i-1');
  expect(await shot()).toEqual(Buffer.from([1, 255]));
  await state.redis.flushall();
  await evidence.put('r1/a/screenshot.png', new Uint8Array([2]));
  expect(await shot()).toEqual(Buffer.from([2]));
});
