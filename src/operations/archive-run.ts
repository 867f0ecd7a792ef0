/** Archives an ended run: its wave and its machines are free again, its jobs leave the queues; record and evidence stay. */
import { LandfallError } from '../domain/errors.ts';
import type { Job } from '../domain/job.ts';
import { isControlled, type MachineRecord } from '../domain/machine-record.ts';
import type { RunRecord } from '../domain/run-record.ts';
import type { Queues } from '../queue/queues.ts';
import type { State } from '../state/state.ts';
import { recordAction } from './operator.ts';

/** Idempotent. Throws `conflict` while the run is running, and while machines that landed could still go back. */
export async function archiveRun(
  id: string,
  deps: { state: State; queues: Queues; by: string },
): Promise<void> {
  const { state, queues, by } = deps;
  for (;;) {
    const run = await state.runs.get(id);
    if (run === null || run.archivedAt !== null) return;
    const counts = await state.machines.counts(id);
    if (counts.waiting + counts.moving + counts.held + counts['rolling-back'] > 0) throw stillRunning(run);
    const machines = await state.machines.all(id, run.machines);
    refuseUncommitted(id, machines);
    // First, so that a crash in between leaves a run that can be archived again, not jobs that nobody removes.
    for (const [site, records] of Map.groupBy(machines, (record) => record.site))
      await queues.remove(records.flatMap(jobsEverMade), site);
    const archived = { ...run, archivedAt: await state.clock.now() };
    const identities = machines.map((record) => record.machine.identity);
    if (!(await state.runs.archive(archived, identities))) continue;
    await recordAction(state, { run: id, machine: null, action: 'archive', by, reason: null });
    return;
  }
}

function stillRunning({ id, status }: RunRecord): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `Run ${id} is ${status}. Let it end, or \`landfall cancel ${id}\` first.`,
    context: { run: id },
  });
}

/** With its run goes the way back, which is there until somebody commits. */
function refuseUncommitted(run: string, machines: readonly MachineRecord[]): void {
  const uncommitted = machines.filter(
    (record) => record.status === 'landed' && record.committedAt === null && isControlled(record),
  );
  if (uncommitted.length === 0) return;
  throw new LandfallError({
    code: 'conflict',
    message: `Run ${run} was not archived: ${uncommitted.map(({ machine }) => machine.name).join(', ')} could not go back to ${uncommitted.length === 1 ? 'its' : 'their'} source any more. \`landfall commit ${run}\` first, or \`landfall rollback ${run}\`.`,
    context: { run },
  });
}

function jobsEverMade(record: MachineRecord): Job[] {
  return Object.values(record.steps).flatMap(({ stage, disk, pass, try: tries }) =>
    Array.from({ length: tries }, (_none, index) => ({
      run: record.run,
      machine: record.machine.name,
      stage,
      disk,
      pass,
      try: index + 1,
    })),
  );
}
