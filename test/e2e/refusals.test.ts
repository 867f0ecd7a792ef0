import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/domain/json.ts';
import type { State } from '../../src/state/state.ts';
import { type Ground, linesOf, openGround, type Told } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { holdingsOf } from './holdings.ts';
import { processesOf } from './processes.ts';

let ground: Ground;
let machine: GuestMachine;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01' });
}, 90_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

let before: string[];
beforeEach(async () => {
  before = await holdingsOf(ground);
});

function errorOf(told: Told): { code: string; message: string } {
  const [document, ...more] = linesOf(told);
  expect(more).toEqual([]);
  return document?.error as { code: string; message: string };
}

describe('a wave file with a mistake', () => {
  test.each([
    ['is no YAML', 'name: [', /broken\.yaml:1:\d+/],
    ['has an unknown key', 'name: broken\nmachine: []\n', /broken\.yaml:2:1.*machines/s],
  ])(
    'that %s: exit status 2, the place in the file, and not even `up` is started',
    async (_what, text, says) => {
      const file = join(ground.folder, 'broken.yaml');
      await writeFile(file, text);
      const told = await ground.landfall(['run', file, '--json']);
      expect(told.status).toBe(2);
      expect(errorOf(told)).toMatchObject({ code: 'wave-invalid', message: expect.stringMatching(says) });
      expect(await processesOf(ground.home)).toEqual([]);
    },
  );

  test('that does not exist: exit status 2 and its name', async () => {
    const told = await ground.landfall(['run', 'nowhere.yaml', '--json']);
    expect(told.status).toBe(2);
    expect(errorOf(told).message).toContain('nowhere.yaml');
  });
});

describe('a target that is not ready', () => {
  let state: State;
  beforeAll(async () => {
    await ground.up('--no-pools');
    state = await ground.state();
  }, 30_000);

  const cases: [string, JsonObject, Record<string, string>, RegExp, RegExp][] = [
    ['no bucket', { bucket: 'landfall-nowhere' }, {}, /landfall-nowhere/, /[Cc]reate/],
    ['no role', { role: 'nobody' }, {}, /nobody/, /[Cc]reate/],
    [
      'a wrong secret',
      {},
      { AWS_SECRET_ACCESS_KEY: 'wrong' },
      /signature/i,
      /AWS_SECRET_ACCESS_KEY|credentials/,
    ],
    ['an unknown key', {}, { AWS_ACCESS_KEY_ID: 'AKIAUNKNOWNUNKNOWN00' }, /credentials/i, /credentials/],
    [
      'no credentials',
      {},
      { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
      /credentials/i,
      /AWS_ACCESS_KEY_ID|credentials/,
    ],
  ];
  test.each(cases)(
    '%s: exit status 2, what and the remedy; nothing is written',
    async (_name, target, environment, what, remedy) => {
      const wave = await ground.writeWave({ name: 'refused', machines: [machine.wave], target });
      const told = await ground.landfall(['run', wave, '--json'], environment);
      expect(told).toMatchObject({ status: 2 });
      const { code, message } = errorOf(told);
      expect(code).toBe('preflight-refused');
      expect(message).toMatch(what);
      expect(message).toMatch(remedy);
      expect(await state.runs.list()).toEqual([]);
      expect(await holdingsOf(ground)).toEqual(before);

      const planned = await ground.landfall(['plan', wave], environment);
      expect(planned.status).toBe(2);
      expect(planned.stdout).toMatch(what);
    },
  );
});

describe('a machine in two waves', () => {
  test('is refused to the second, naming the first run; nothing is started', async () => {
    const first = await ground.writeWave({ name: 'first', machines: [machine.wave] });
    const started = await ground.landfall(['run', first, '--detach', '--json']);
    expect(started, started.stderr).toMatchObject({ status: 0 });
    const [{ run } = {}] = linesOf(started);
    const state = await ground.state();
    const runs = await state.runs.list();

    const second = await ground.writeWave({
      name: 'second',
      machines: [{ ...machine.wave, name: 'web01-again' }],
    });
    const told = await ground.landfall(['run', second, '--json']);
    expect(told.status).toBe(2);
    expect(errorOf(told)).toMatchObject({
      code: 'machine-busy',
      message: expect.stringContaining(String(run)),
    });
    expect(await state.runs.list()).toEqual(runs);
    expect(await state.runs.ofWave('second')).toBeNull();
    expect(await holdingsOf(ground)).toEqual(before);

    // Once the first run gave the machine up, the second may have it.
    expect(await ground.landfall(['cancel', String(run), '--json'])).toMatchObject({ status: 0 });
    expect(await ground.landfall(['run', second, '--detach', '--json'])).toMatchObject({ status: 0 });
  }, 60_000);
});
