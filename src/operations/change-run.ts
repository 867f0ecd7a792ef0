/** Changes a run's record by compare-and-set, and lets everything follow from it. */
import { LandfallError } from '../domain/errors.ts';
import { isUnderWay } from '../domain/machine-record.ts';
import type { RunCounts, RunRecord } from '../domain/run-record.ts';
import type { Conductor } from '../queue/conductor.ts';
import type { State } from '../state/state.ts';

/** A pure change; null: it does not apply any more. */
export type RunChange = (record: RunRecord, counts: RunCounts, now: number) => RunRecord | null;

const MAX_CONFLICTS = 100;

/** null: it did not apply. */
export async function changeRun(
  id: string,
  change: RunChange,
  { state, conductor }: { state: State; conductor: Conductor },
): Promise<RunRecord | null> {
  for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts += 1) {
    const run = await state.runs.get(id);
    if (run === null) return null;
    const changed = change(run, await state.machines.counts(id), await state.clock.now());
    if (changed === null) return null;
    if (!(await state.runs.commit(changed))) continue;
    // Steps that were kept from beginning are wanted now.
    for (const { machine, status } of await state.machines.all(id, run.machines))
      if (isUnderWay(status)) await conductor.look({ run: id, machine: machine.name });
    return await conductor.advanceRun(id);
  }
  throw new LandfallError({
    code: 'internal',
    message: `The record of run ${id} keeps changing.`,
    retryable: true,
  });
}
