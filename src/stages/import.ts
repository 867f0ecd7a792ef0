/** Import lets the target make a landing of the artifacts; then the source and staging have done their part. */
import type { Artifact } from '../domain/landing.ts';
import type { MachineRecord, StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { runHooks } from './hooks.ts';
import { tidyStaging } from './staging.ts';
import { missing, type StepInput } from './step-input.ts';

export async function importMachine(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, source, target, context } = input;
  const { machine, plan } = record;
  const artifacts = artifactsInDiskOrder(record);
  await runHooks(input, 'before-import');
  const outcome = await target.import({ machine, to: plan.to, artifacts }, context);
  if (outcome.kind === 'wait') return outcome;
  await source.release({ from: plan.from, machine }, context);
  await tidyStaging(input);
  await runHooks({ ...input, record: { ...record, landing: outcome.value } }, 'after-import');
  return { kind: 'done', value: { stage: 'import', landing: outcome.value } };
}

function artifactsInDiskOrder(record: MachineRecord): Artifact[] {
  return record.machine.disks.map((disk) => {
    const artifact = record.artifacts[disk.id];
    if (artifact === undefined) throw missing(record, `the artifact of disk ${disk.id}`);
    return artifact;
  });
}
