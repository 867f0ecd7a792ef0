/**
 * Convert makes of each disk what the target takes: the source's own file where it can go as it is, else a file in
 * staging, written by qemu-img. A disk that an earlier attempt finished is not written again.
 */

import { fingerprintFile } from '../blocks/file-fingerprint.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Container, Image, Prepared } from '../domain/image.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome } from '../domain/ports.ts';
import { convertImage, measureImage } from '../images/qemu-img.ts';
import { isSourceFault, type SourceWatch, watchSource } from './source-watch.ts';
import { clearStaged, discardStaged, findStaged, keepStaged } from './staged-file.ts';
import { convertedFolder } from './staging.ts';
import { boundByFile, freeBytes, noSpace, requireSpace } from './staging-space.ts';
import { imageOf, type StepInput } from './step-input.ts';
import { type FileAsIs, fileAsIs } from './upload-as-is.ts';

export async function convertDisks(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const disks = input.record.machine.disks.map((disk) => disk.id);
  try {
    await using watch = await watchSource(input, disks);
    const plans = await planDisks(input);
    const prepared = await prepareDisks({ input, plans, watch }).catch((error: unknown) => {
      // A copy that was stopped because its source changed fails for that reason, however the tool put it.
      watch.signal.throwIfAborted();
      throw error;
    });
    await watch.check();
    return { kind: 'done', value: { stage: 'convert', prepared } };
  } catch (error) {
    // What was made of a source that changed must never be taken for a copy.
    if (isSourceFault(error)) await discardStaged(input, disks);
    throw error;
  }
}

type DiskPlan = { id: string; image: Image; container: Container; asIs: FileAsIs | null };

async function planDisks({ record, target }: StepInput): Promise<DiskPlan[]> {
  const plans: DiskPlan[] = [];
  for (const { id } of record.machine.disks) {
    const image = imageOf(record, id);
    const container = target.containerFor({ bytes: image.bytes });
    plans.push({ id, image, container, asIs: await fileAsIs(image, container) });
  }
  return plans;
}

async function prepareDisks(work: {
  input: StepInput;
  plans: readonly DiskPlan[];
  watch: SourceWatch;
}): Promise<Record<string, Prepared>> {
  const { input, plans, watch } = work;
  const prepared: Record<string, Prepared> = {};
  const progress = createProgress(input, plans);
  for (const plan of plans) {
    const report = (fraction: number): void => progress(plan.id, fraction);
    prepared[plan.id] =
      plan.asIs === null ? await stageDisk({ input, plan, watch, report }) : await takeAsIs(plan, plan.asIs);
    watch.signal.throwIfAborted();
    report(1);
  }
  return prepared;
}

async function takeAsIs({ container }: DiskPlan, { file, lengthBytes }: FileAsIs): Promise<Prepared> {
  return { container, file, lengthBytes, isStaged: false, fingerprint: await fingerprintFile(file.path) };
}

async function stageDisk(work: {
  input: StepInput;
  plan: DiskPlan;
  watch: SourceWatch;
  report: (fraction: number) => void;
}): Promise<Prepared> {
  const { input, plan, watch, report } = work;
  const { id, container, image } = plan;
  const disk = { id, container, sourceFingerprint: watch.fingerprints[id] ?? '' };
  const staged = await findStaged(input, disk);
  if (staged !== null) return staged;
  const path = await clearStaged(input, disk);
  await using opened = await input.source.open(image, watch.signal);
  const from = opened.uri;
  const { signal } = watch;
  const need = {
    folder: convertedFolder(input),
    bytes: Math.min(
      (await measureImage({ from, container, signal })).expectedBytes,
      (await boundByFile(image)) ?? Number.POSITIVE_INFINITY,
    ),
    what: `disk ${id} of ${input.record.machine.name}`,
  };
  await requireSpace(need);
  try {
    await convertImage({ from, to: path, container, onProgress: report, signal });
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    throw noSpace({ ...need, freeBytes: await freeBytes(need.folder), cause: error });
  }
  signal.throwIfAborted();
  return keepStaged(input, { ...disk, path });
}

/** In bytes of the disks' virtual sizes. */
function createProgress(
  { context }: StepInput,
  plans: readonly DiskPlan[],
): (disk: string, fraction: number) => void {
  const totalBytes = plans.reduce((sum, plan) => sum + plan.image.bytes, 0);
  const done = new Map<string, number>();
  return (disk, fraction) => {
    const bytes = plans.find((plan) => plan.id === disk)?.image.bytes ?? 0;
    done.set(disk, Math.max(done.get(disk) ?? 0, Math.floor(bytes * Math.min(1, fraction))));
    const doneBytes = [...done.values()].reduce((sum, value) => sum + value, 0);
    context.report({ doneBytes, totalBytes, note: `disk ${disk} of ${formatBytes(bytes)}` });
  };
}

/** There was room when it began: another writer filled the disk meanwhile. */
function isNoSpace(error: unknown): boolean {
  return error instanceof LandfallError && error.code === 'no-space';
}
