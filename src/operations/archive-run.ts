/** Archives an ended run: its wave and its machines are free again, its jobs leave the queues; record and evidence stay. */
import type { Job } from '../domain/job.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Queues } from '../queue/queues.ts';
import type { State } from '../state/state.ts';

export async function archiveRun(
  id: string,
  { state, queues }: { state: State; queues: Queues },
): Promise<void> {
  for (;;) {
    const run = await state.runs.get(id);
    if (run === null || run.archivedAt !== null) return;
    const machines = await state.machines.all(id, run.machines);
    const archived = { ...run, archivedAt: await state.clock.now() };
    const identities = machines.map((record) => record.machine.identity);
    if (!(await state.runs.archive(archived, identities))) continue;
    await queues.remove(machines.flatMap(jobsEverMade));
    return;
  }
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
