/**
 * Convert finds out how each disk goes up and how much of it holds data, so that upload can make what the target wants
 * while it reads: no file is written.
 */
import { openDiskReader } from '../blocks/disk-reader.ts';
import type { Image, Prepared } from '../domain/image.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { createHolesMap } from './disk-map.ts';
import { watchSource } from './source-watch.ts';
import { imageOf, type StepInput } from './step-input.ts';

export async function convertDisks(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, target } = input;
  const disks = record.machine.disks.map((disk) => disk.id);
  await using watch = await watchSource(input, disks);
  const prepared: Record<string, Prepared> = {};
  for (const disk of disks) {
    const image = imageOf(record, disk);
    const form = target.uploadForm({ bytes: image.bytes, to: record.plan.to });
    prepared[disk] = { form, dataBytes: await countData(input, { disk, image, signal: watch.signal }) };
  }
  await watch.check();
  return { kind: 'done', value: { stage: 'convert', prepared } };
}

/** Reads the source's map, no data, and keeps a picture of it. */
async function countData(
  { source, context }: StepInput,
  { disk, image, signal }: { disk: string; image: Image; signal: AbortSignal },
): Promise<number> {
  context.report({ doneBytes: 0, totalBytes: 0, note: `reading the map of disk ${disk}` });
  await using opened = await source.open(image, signal);
  await using reader = await openDiskReader(opened, signal);
  const map = createHolesMap({ diskBytes: reader.bytes });
  const dataBytes = await reader.countDataBytes(signal, map.takeData);
  await map.keep(context.checkpoints, disk);
  return dataBytes;
}
