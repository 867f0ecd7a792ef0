import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { State } from '../../src/state/state.ts';
import { type Ground, linesOf, openGround } from './ground.ts';
import { makeMachine } from './guest-machine.ts';
import { holdingsOf } from './holdings.ts';
import { machineOf } from './run-records.ts';
import { holdPartsAfter, untilHeld } from './uploads.ts';

let ground: Ground;
let state: State;
let wave: string;
let runs: string[];

beforeAll(async () => {
  ground = await openGround();
  const machine = await makeMachine(ground, { name: 'web01', noiseMib: 40 });
  wave = await ground.writeWave({ name: 'cancelled', machines: [{ ...machine.wave, export: 'spool' }] });
  await ground.up('--no-pools');
  state = await ground.state();
  holdPartsAfter(ground, 3);
  await ground.worker('export,convert,upload');
  // Two operators who start the same wave at once.
  const told = await Promise.all([1, 2].map(() => ground.landfall(['run', wave, '--detach', '--json'])));
  for (const each of told) if (each.status !== 0) throw new Error(each.stdout + each.stderr);
  runs = told.map((each) => String(linesOf(each)[0]?.run));
}, 90_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

describe('a run', () => {
  test('is one, also when two start the same wave at once', async () => {
    expect(new Set(runs).size).toBe(1);
    expect(await state.runs.list()).toEqual([runs[0]]);
  });

  test('stops in mid-upload when it is cancelled from another process', async () => {
    const run = String(runs[0]);
    await untilHeld(ground, { run, machine: 'web01', disk: '1', count: 3 });
    expect(await ground.landfall(['cancel', run, '--json'])).toMatchObject({ status: 0 });
    expect((await machineOf(state, { run, machine: 'web01' })).status).toBe('cancelled');
    expect((await state.runs.get(run))?.status).toBe('cancelled');
  }, 60_000);

  test('leaves nothing at the target and in staging once it is cleaned up', async () => {
    const run = String(runs[0]);
    expect(await holdingsOf(ground, run)).not.toEqual([]);
    const told = await ground.landfall(['cleanup', run, '--json']);
    expect(told, told.stdout + told.stderr).toMatchObject({ status: 0 });
    expect(await holdingsOf(ground, run)).toEqual([]);
    expect(await readdir(join(ground.home, 'staging'))).toEqual([]);
  }, 60_000);
});
