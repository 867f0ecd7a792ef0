/** The evidence that a landing works: where it is kept, and the document that sums it up. */
import { stepKey } from '../domain/job.ts';
import type { Observation, Proof, ProvenDisk, StageTime } from '../domain/landing.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { Sighting } from './sighting.ts';
import { pathSegment } from './staging.ts';
import { landingOf } from './step-input.ts';

/** RUN/MACHINE/FILE in the evidence store. */
export function proofPath(
  record: MachineRecord,
  file: 'console.txt' | 'screenshot.png' | 'proof.json' | `disk-${string}.digests`,
): string {
  return [record.run, record.machine.name, file].map(pathSegment).join('/');
}

export function composeProof(from: {
  record: MachineRecord;
  observation: Observation;
  sighting: Sighting;
  now: number;
}): Proof {
  const { record, observation, sighting, now } = from;
  return {
    run: record.run,
    machine: record.machine.name,
    landing: landingOf(record),
    consoleLines: sighting.lines.filter((line) => line !== null),
    consoleFile: proofPath(record, 'console.txt'),
    screenshotFile: sighting.screenshotDigest === null ? null : proofPath(record, 'screenshot.png'),
    checks: observation.checks,
    disks: provenDisks(record),
    provenAt: now,
    stages: stageTimes(record, now),
  };
}

function provenDisks(record: MachineRecord): ProvenDisk[] {
  return record.machine.disks.map(({ id, bytes }) => {
    const artifact = record.artifacts[id];
    return { disk: id, bytes, uploadedBytes: artifact?.bytes ?? 0, digests: artifact?.digests ?? [] };
  });
}

/** Of the steps that are done, and of validate, which ends with this proof; not of a way back that came before. */
function stageTimes(record: MachineRecord, now: number): StageTime[] {
  const forward = Object.values(record.steps).filter(({ stage }) => stage !== 'rollback');
  return forward.flatMap((step) => {
    const endedAt = step.stage === 'validate' ? now : step.endedAt;
    if (step.startedAt === null || endedAt === null) return [];
    return [{ step: stepKey(step), startedAt: step.startedAt, endedAt, tries: step.try }];
  });
}
