/** Commands where no `landfall up` lives: what is refused leaves no process behind, what is not starts one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ground, linesOf, openGround, type Told } from './ground.ts';
import { type GuestMachine, makeMachine } from './guest-machine.ts';
import { processesOf } from './processes.ts';

const WRONG = { AWS_SECRET_ACCESS_KEY: 'wrong' };

let ground: Ground;
let machine: GuestMachine;

beforeAll(async () => {
  ground = await openGround();
  machine = await makeMachine(ground, { name: 'web01' });
}, 90_000);
afterAll(async () => {
  await ground?.landfall(['down']);
  await ground?.[Symbol.asyncDispose]();
}, 60_000);

function errorOf(told: Told): { code: string; message: string } {
  return linesOf(told).at(-1)?.error as { code: string; message: string };
}

const started = async (told: Told): Promise<string> => {
  expect(told, told.stderr).toMatchObject({ status: 0 });
  return String(linesOf(told)[0]?.run);
};

describe('without a live `up`', () => {
  test('a refused run leaves no process and no Redis behind; the next one is not held by its credentials', async () => {
    const wave = await ground.writeWave({ name: 'web', machines: [machine.wave] });
    const refused = await ground.landfall(['run', wave, '--json'], WRONG);
    expect(refused).toMatchObject({ status: 2 });
    expect(errorOf(refused).code).toBe('preflight-refused');
    expect(await processesOf(ground.home)).toEqual([]);
    expect(existsSync(join(ground.home, 'redis'))).toBe(false);

    const run = await started(await ground.landfall(['run', wave, '--detach', '--json']));
    expect(await processesOf(ground.home)).not.toEqual([]);
    const state = await ground.state();
    expect(await state.runs.ofWave('web')).toBe(run);
    expect(await ground.landfall(['cancel', run])).toMatchObject({ status: 0 });
  }, 60_000);

  test('a live one with other credentials is named, with what to do; no value is told', async () => {
    const wave = await ground.writeWave({ name: 'web', machines: [machine.wave] });
    const told = await ground.landfall(['run', wave, '--detach'], { AWS_SECRET_ACCESS_KEY: 'quite-another' });
    expect(told).toMatchObject({ status: 0 });
    expect(told.stderr).toMatch(/started with other values of AWS_SECRET_ACCESS_KEY .*`landfall down`/);
    expect(told.stderr).not.toContain('quite-another');
    const doctor = await ground.landfall(['doctor'], { AWS_SESSION_TOKEN: 'quite-another' });
    expect(doctor.stdout).toMatch(/warn workers: .*other values of AWS_SESSION_TOKEN/);
    const same = await ground.landfall(['run', wave, '--detach']);
    expect(same.stderr).not.toMatch(/other values/);
  });

  test('a wave that has a run is attached to without asking the target again', async () => {
    expect(await ground.landfall(['down'])).toMatchObject({ status: 0 });
    const wave = await ground.writeWave({ name: 'web', machines: [machine.wave] });
    const both = await Promise.all([
      ground.landfall(['run', wave, '--detach', '--json'], WRONG),
      ground.landfall(['run', wave, '--detach', '--json'], WRONG),
    ]);
    for (const told of both) {
      expect(await started(told)).toMatch(/^web-/);
      expect(told.stderr).toMatch(/ended before \(cancelled\)/);
    }
    // Both need an `up`; only one of them started the one that lives.
    expect(both.filter(({ stderr }) => stderr.includes('started one in the background')).length).toBe(1);
    expect(await ground.landfall(['down'])).toMatchObject({ status: 0 });
  });

  test('a run whose wave file was edited says that it keeps the old one', async () => {
    const wave = await ground.writeWave({ name: 'web', machines: [machine.wave], proof: { deadline: '9m' } });
    const told = await ground.landfall(['run', wave, '--detach']);
    expect(told.stderr).toMatch(/wave file has changed since run web-.* keeps the old one\. `--again`/);
    const same = await ground.writeWave({ name: 'web', machines: [machine.wave] });
    expect((await ground.landfall(['run', same, '--detach'])).stderr).not.toMatch(/has changed/);
    const again = await ground.landfall(['run', same, '--again', '--detach', '--json']);
    expect(again.stderr).toMatch(/Archived (web-\w+); what it made stays: `landfall cleanup \1`/);
    expect(await ground.landfall(['cancel', await started(again)])).toMatchObject({ status: 0 });
    expect(await ground.landfall(['down'])).toMatchObject({ status: 0 });
  });

  test('a machine of an unarchived run is refused, and so is a retry of nothing; no process is left', async () => {
    const first = await ground.writeWave({
      name: 'first',
      machines: [machine.wave],
      limits: { machines: 1 },
    });
    const run = await started(await ground.landfall(['run', first, '--detach', '--json']));
    const down = await ground.landfall(['down']);
    expect(down.stdout).toMatch(/1 machine was on the move: it goes on .*`landfall up`/);
    // The kernel ends the children of a process that has just gone.
    await expect.poll(() => processesOf(ground.home), { timeout: 2_000 }).toEqual([]);

    const second = await ground.writeWave({ name: 'second', machines: [{ ...machine.wave, name: 'again' }] });
    const busy = await ground.landfall(['run', second, '--json']);
    expect(busy.status).toBe(2);
    expect(errorOf(busy)).toMatchObject({ code: 'machine-busy', message: expect.stringContaining(run) });
    expect(await processesOf(ground.home)).toEqual([]);

    for (const args of [
      ['retry', 'nowhere', '--failed'],
      ['retry', run, 'nobody'],
      ['run', join(ground.folder, 'first.yaml'), '--again'],
    ]) {
      expect(await ground.landfall([...args, '--json'])).toMatchObject({ status: 2 });
      expect(await processesOf(ground.home)).toEqual([]);
    }
  }, 60_000);
});
