/** Export fixes a consistent state of one disk and says where it can be read. It copies nothing that can be read in place. */
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { requireOff, saveExportedState } from './source-watch.ts';
import { sourceFolder } from './staging.ts';
import { diskOf, type StepInput } from './step-input.ts';

export async function exportDisk(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, job, source, context } = input;
  const { machine } = record;
  const disk = diskOf(input).id;
  await requireOff(input);
  const request = {
    from: record.plan.from,
    machine,
    disk,
    pass: job.pass,
    stagingFolder: sourceFolder(input),
  };
  const image = await source.export(request, context);
  await requireOff(input);
  await saveExportedState(input, { disk, image });
  return { kind: 'done', value: { stage: 'export', disk, image } };
}
