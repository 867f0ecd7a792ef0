import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineRecord } from '../../src/domain/machine-record.ts';
import { type Ground, linesOf, openGround, type Told } from './ground.ts';
import { makeMachine } from './guest-machine.ts';
import { holdingsOf } from './holdings.ts';
import { machineOf } from './run-records.ts';

const SILENT_DEADLINE_S = 12;
/** Looks come every second or two; the rest is for a slow machine. */
const LATE_S = 15;
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

let ground: Ground;
let told: Told;
let run: string;
let panic: MachineRecord;
let silent: MachineRecord;

beforeAll(async () => {
  ground = await openGround();
  const machines = [
    // Without the panic being seen, it would fail by its deadline only.
    await makeMachine(ground, { name: 'panic', kind: 'panic', proof: { deadline: '100s' } }),
    await makeMachine(ground, {
      name: 'silent',
      kind: 'silent',
      proof: { deadline: `${SILENT_DEADLINE_S}s` },
    }),
  ];
  const wave = await ground.writeWave({ name: 'failing', machines: machines.map((each) => each.wave) });
  await ground.up();
  told = await ground.landfall(['run', wave, '--json']);
  run = String(linesOf(told).at(-1)?.run);
  const state = await ground.state();
  panic = await machineOf(state, { run, machine: 'panic' });
  silent = await machineOf(state, { run, machine: 'silent' });
}, 150_000);
afterAll(() => ground?.[Symbol.asyncDispose](), 60_000);

const secondsInValidate = ({ steps }: MachineRecord): number => {
  const { startedAt, endedAt } = steps.validate ?? {};
  return ((endedAt ?? 0) - (startedAt ?? 0)) / 1000;
};

describe('a wave whose machines do not boot', () => {
  test('fails with exit status 1 and names both in what it says', () => {
    expect(told).toMatchObject({ status: 1 });
    expect(linesOf(told).at(-1)).toMatchObject({ type: 'end', status: 'failed', exitStatus: 1 });
  });

  test('fails a guest that panics long before its deadline, with the panic’s own words', async () => {
    expect(panic).toMatchObject({ status: 'failed', error: { code: 'boot-failed', retryable: false } });
    expect(panic.error?.message).toContain('Kernel panic - not syncing: Attempted to kill init!');
    expect(secondsInValidate(panic)).toBeLessThan(60);
    expect(panic.steps.validate).toMatchObject({ try: 1, failures: 1 });
  });

  test('fails a silent guest at its deadline, with the path of its picture', () => {
    expect(silent).toMatchObject({ status: 'failed', error: { code: 'boot-timeout' } });
    expect(silent.error?.message).toContain(`within ${SILENT_DEADLINE_S} s`);
    expect(secondsInValidate(silent)).toBeGreaterThanOrEqual(SILENT_DEADLINE_S);
    expect(secondsInValidate(silent)).toBeLessThan(SILENT_DEADLINE_S + LATE_S);
  });

  test('keeps console and picture as evidence, where the errors say', async () => {
    for (const [{ error }, kinds] of [
      [panic, ['console.txt', 'screenshot.png']],
      [silent, ['screenshot.png']],
    ] as const) {
      for (const kind of kinds) {
        const path = new RegExp(`/\\S*${kind}`).exec(error?.message ?? '')?.[0] ?? `no path of a ${kind}`;
        const bytes = await readFile(path);
        if (kind === 'screenshot.png') expect(bytes.subarray(0, 8)).toEqual(PNG_SIGNATURE);
        else expect(bytes.toString('utf8')).toContain('Kernel panic');
      }
    }
  });

  test('leaves nothing at the target once it is discarded', async () => {
    expect(await holdingsOf(ground, run)).not.toEqual([]);
    const discarded = await ground.landfall(['discard', run, '--json']);
    expect(discarded, discarded.stdout).toMatchObject({ status: 0 });
    expect(await holdingsOf(ground, run)).toEqual([]);
  }, 60_000);
});
