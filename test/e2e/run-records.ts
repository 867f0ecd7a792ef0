/** Starts runs, and waits for what their records say. */
import { expect } from 'vitest';
import type { MachineRecord, Step } from '../../src/domain/machine-record.ts';
import type { RunRecord } from '../../src/domain/run-record.ts';
import type { State } from '../../src/state/state.ts';
import type { Ground } from './ground.ts';

export type MachineOf = { run: string; machine: string };

export async function machineOf(state: State, { run, machine }: MachineOf): Promise<MachineRecord> {
  const record = await state.machines.get(run, machine);
  if (record === null) throw new Error(`${run} has no machine ${machine}`);
  return record;
}

export async function stepOf(state: State, of: MachineOf & { step: string }): Promise<Step> {
  const step = (await machineOf(state, of)).steps[of.step];
  if (step === undefined) throw new Error(`${of.machine} has no step ${of.step}`);
  return step;
}

export async function untilStep(
  state: State,
  of: MachineOf & { step: string; is: Step['state']; timeoutMs?: number },
): Promise<void> {
  const { timeoutMs = 60_000 } = of;
  await expect
    .poll(async () => (await stepOf(state, of)).state, { timeout: timeoutMs, interval: 50 })
    .toBe(of.is);
}

export async function untilRun(
  state: State,
  of: { run: string; is: RunRecord['status']; timeoutMs?: number },
): Promise<void> {
  const { run, timeoutMs = 90_000 } = of;
  await expect
    .poll(async () => (await state.runs.get(run))?.status, { timeout: timeoutMs, interval: 100 })
    .toBe(of.is);
}

/** Gives its id. */
export async function startRun({ landfall }: Ground, wave: string): Promise<string> {
  const told = await landfall(['run', wave, '--detach', '--json']);
  expect(told, told.stderr).toMatchObject({ status: 0 });
  return (JSON.parse(told.stdout) as { run: string }).run;
}
