/** A machine of two disks on its way, and what each of its steps hands over. */
import type { Job } from '../../src/domain/job.ts';
import type { MachineRecord, StepOutput } from '../../src/domain/machine-record.ts';
import { createMachine, createRecord, rawImage } from '../fakes/machine.ts';
import { OPEN_VIEW } from '../fakes/records.ts';

export const OPEN = OPEN_VIEW;
export const NOW = 50_000;
export const LANDING = { kind: 'x', id: 'i-1', ref: {} };

export function waitingMachine(): MachineRecord {
  return { ...createRecord({ machine: createMachine({ disks: 2 }) }), status: 'waiting' };
}

export function outputOf(job: Job): StepOutput {
  const disk = job.disk ?? '';
  switch (job.stage) {
    case 'shutdown':
    case 'rollback':
      return { stage: job.stage };
    case 'export':
      return { stage: 'export', disk, image: rawImage(`/vm/${disk}`, 1) };
    case 'convert':
      return { stage: 'convert', prepared: {} };
    case 'upload': {
      const artifact = { disk, kind: 'x', container: 'raw', bytes: 1, ref: {}, digests: [] } as const;
      return { stage: 'upload', disk, artifact };
    }
    case 'import':
      return { stage: 'import', landing: LANDING };
    case 'validate':
      return { stage: 'validate', proof: 'proof.json' };
    case 'admit':
      return { stage: 'admit', landing: LANDING };
    default:
      return job.stage satisfies never;
  }
}
