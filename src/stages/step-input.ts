/** What every step is given: a snapshot of the record, the adapters, and what this one attempt may use. */

import { LandfallError } from '../domain/errors.ts';
import type { Image } from '../domain/image.ts';
import type { Job } from '../domain/job.ts';
import type { Landing } from '../domain/landing.ts';
import type { Disk } from '../domain/machine.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Evidence, Source, StepContext, Target } from '../domain/ports.ts';

export type StepInput = {
  /** As it was when the job was taken up; steps never write it. */
  record: MachineRecord;
  job: Job;
  source: Source;
  target: Target;
  evidence: Evidence;
  /** Root of staging; a step uses its machine's folder in it only. */
  stagingFolder: string;
  /** Of the wave's file, as its author sees it: it may not be there on this host. */
  waveFolder: string;
  /**
   * Keeps all other steps of this machine from being worked on, and resolves once no attempt at one can still hold
   * anything of its source. Throws `conflict` where one does not end.
   */
  holdOtherSteps(signal: AbortSignal): Promise<AsyncDisposable>;
  context: StepContext;
};

/** The disk that a per-disk job names. */
export function diskOf({ record, job }: StepInput): Disk {
  const disk = record.machine.disks.find((candidate) => candidate.id === job.disk);
  if (disk === undefined) throw missing(record, `disk ${job.disk}`);
  return disk;
}

/** The image that export made of a disk. */
export function imageOf(record: MachineRecord, disk: string): Image {
  const image = record.images[disk];
  if (image === undefined) throw missing(record, `the image of disk ${disk}`);
  return image;
}

/** The landing that import made. */
export function landingOf(record: MachineRecord): Landing {
  if (record.landing === null) throw missing(record, 'a landing');
  return record.landing;
}

/** A step ran without what an earlier one must have left: a fault of ours, and no try will mend it. */
export function missing(record: MachineRecord, what: string): LandfallError {
  return new LandfallError({
    code: 'internal',
    message: `The record of ${record.machine.name} in run ${record.run} has no ${what.replace(/^an? /, '')} yet this step needs it. This is a defect of Landfall; \`landfall discard\` and \`landfall retry\` start the machine afresh.`,
    context: { run: record.run, machine: record.machine.name },
  });
}
