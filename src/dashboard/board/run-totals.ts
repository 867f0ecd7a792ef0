/** What a run's machines come to together. Pure. */
import { stepKey } from '../../domain/job.ts';
import { isUnderWay, type MachineRecord } from '../../domain/machine-record.ts';
import type { StepProgress } from '../../state/progress-board.ts';
import { isTroubling } from './machine-line.ts';

export type Totals = {
  /** Of what holds data at the source, as far as that is known: what is at the target. */
  doneBytes: number;
  totalBytes: number;
  bytesPerSecond: number;
  /** Machines that an operator looks at first. */
  troubled: number;
};

export function sumMachines(records: Iterable<MachineRecord>, progress: readonly StepProgress[]): Totals {
  const ofStep = new Map(progress.map((each) => [`${each.machine} ${each.step}`, each]));
  const totals = { doneBytes: 0, totalBytes: 0, bytesPerSecond: 0, troubled: 0 };
  for (const record of records) {
    if (isTroubling(record)) totals.troubled += 1;
    if (isUnderWay(record.status))
      for (const step of Object.values(record.steps))
        if (step.state === 'active')
          totals.bytesPerSecond += ofStep.get(`${record.machine.name} ${stepKey(step)}`)?.bytesPerSecond ?? 0;
    for (const disk of record.machine.disks) {
      const upload = ofStep.get(
        `${record.machine.name} ${stepKey({ stage: 'upload', disk: disk.id, pass: 0 })}`,
      );
      // Nobody knows what holds data in a disk that was not looked at.
      const dataBytes = record.prepared[disk.id]?.dataBytes ?? upload?.totalBytes ?? disk.bytes;
      totals.totalBytes += dataBytes;
      if (record.artifacts[disk.id] !== undefined) totals.doneBytes += dataBytes;
      else totals.doneBytes += Math.min(dataBytes, upload?.doneBytes ?? 0);
    }
  }
  return totals;
}
