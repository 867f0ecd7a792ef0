/**
 * Upload reads a disk over NBD and makes on the way what the target wants: a file in parts, or blocks. It writes nothing
 * to staging, reads no hole and sends no zeros, and goes on where an earlier attempt stopped. Each block's digest is
 * taken as it passes; together they are the digest tree by which `landfall verify` proves the landed disk.
 */
import type { DigestTree } from '../blocks/digest-tree.ts';
import { openDiskReader } from '../blocks/disk-reader.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Prepared } from '../domain/image.ts';
import { stepKey } from '../domain/job.ts';
import type { Artifact } from '../domain/landing.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome, UploadSink } from '../domain/ports.ts';
import { maxFileBytes } from '../images/stream-encoder.ts';
import { compareHeldBlocks } from './compare-held-blocks.ts';
import { type CopyProgress, createCopyProgress } from './copy-progress.ts';
import { type DigestLedger, openDigestLedger } from './digest-ledger.ts';
import { digestMissing } from './digest-missing.ts';
import { type DiskMapKeeper, keepDiskMap } from './disk-map.ts';
import { keepDigestTree, readKeptTree } from './kept-digest-tree.ts';
import { mergeTrees, openLaterPass, passOf } from './later-pass.ts';
import { type SourceWatch, watchSource } from './source-watch.ts';
import { diskOf, imageOf, missing, type StepInput } from './step-input.ts';
import { uploadBlocks } from './upload-blocks.ts';
import { forgetParts, uploadParts } from './upload-parts.ts';

export async function uploadDisk(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, context } = input;
  const disk = diskOf(input).id;
  const prepared = preparedOf(input, disk);
  await using watch = await watchSource(input, [disk]);
  const contentId = watch.fingerprints[disk] ?? '';
  const sink = await openSink(input, { disk, prepared, contentId });
  const opened = await openDigests(input, { disk, sink, contentId });
  await using map = await openMap(input, { disk, digests: opened });
  const digests = map?.digests ?? opened;
  const progress = createCopyProgress({
    context,
    diskBytes: imageOf(record, disk).bytes,
    // Of a later pass it is known once the image is open.
    dataBytes: input.job.pass === 0 ? prepared.dataBytes : 0,
    note: 'uploading',
  });
  const upload: Upload = { input, disk, prepared, contentId, sink, digests, progress, watch };
  const artifact = sink.finished ?? (await copy(upload));
  const root = await keepTree(upload);
  await map?.finish();
  progress.finish('uploaded');
  return { kind: 'done', value: { stage: 'upload', disk, artifact: withRoot(artifact, root) } };
}

type Upload = {
  input: StepInput;
  disk: string;
  prepared: Prepared;
  contentId: string;
  sink: UploadSink;
  digests: DigestLedger;
  progress: CopyProgress;
  watch: SourceWatch;
};

function preparedOf({ record }: StepInput, disk: string): Prepared {
  const prepared = record.prepared[disk];
  // That of a build whose convert wrote files is another.
  if (prepared?.form === undefined) throw missing(record, `the upload form of disk ${disk}`);
  return prepared;
}

function openSink(
  input: StepInput,
  { disk, prepared, contentId }: { disk: string; prepared: Prepared; contentId: string },
): Promise<UploadSink> {
  const { record, target, context } = input;
  const { form, dataBytes } = prepared;
  const diskBytes = imageOf(record, disk).bytes;
  return target.openUpload(
    {
      machine: record.machine,
      disk,
      diskBytes,
      to: record.plan.to,
      form,
      contentId,
      pass: passOf(input, disk),
      maxFileBytes:
        form.kind === 'parts' ? maxFileBytes({ container: form.container, diskBytes, dataBytes }) : 0,
    },
    context,
  );
}

function openDigests(
  { record, job, context }: StepInput,
  { disk, sink, contentId }: { disk: string; sink: UploadSink; contentId: string },
): Promise<DigestLedger> {
  const { checkpoints } = context;
  const diskBytes = imageOf(record, disk).bytes;
  return openDigestLedger({
    checkpoints,
    key: stepKey({ stage: 'upload', disk, pass: job.pass }),
    identity: { upload: sink.id, contentId },
    diskBytes,
  });
}

/** A later pass carries only what changed: the picture stays that of the full copy. */
async function openMap(
  { record, job, context: { checkpoints } }: StepInput,
  of: { disk: string; digests: DigestLedger },
): Promise<DiskMapKeeper | null> {
  return job.pass > 0 ? null : keepDiskMap({ ...of, checkpoints, diskBytes: imageOf(record, of.disk).bytes });
}

async function copy(upload: Upload): Promise<Artifact> {
  const { input, disk, contentId, prepared, sink, digests, progress, watch } = upload;
  const { context, source } = input;
  const { signal } = watch;
  try {
    await using opened = await source.open(imageOf(input.record, disk), signal);
    await using reader = await openDiskReader(opened, signal);
    await compareHeldBlocks({ input, disk, reader, tree: digests.tree, signal });
    const shared = { disk, reader, digests, progress, context, signal, checkSource: () => watch.check() };
    if (sink.kind === 'blocks') {
      const laterPass = await openLaterPass(input, { disk, opened });
      return await uploadBlocks({ ...shared, sink, laterPass });
    }
    const container = containerOf(prepared);
    return await uploadParts({ ...shared, sink, container, contentId });
  } catch (error) {
    // A copy that was stopped because its source changed fails for that reason, however it was put.
    signal.throwIfAborted();
    throw stoppedAt(upload, error);
  }
}

function containerOf({ form }: Prepared) {
  if (form.kind === 'parts') return form.container;
  throw new TypeError('the target opened an upload in parts for a disk that goes up in blocks');
}

/**
 * The checkpoints go once the tree is in the evidence store. Where an earlier attempt finished the upload, digests may be
 * missing (Redis can lose its last second): those blocks are read again, so that no half tree is ever kept.
 */
async function keepTree(upload: Upload): Promise<string> {
  const { input, disk, sink, digests, contentId } = upload;
  if (sink.finished !== null) await digestFinished(upload);
  const root = await keepDigestTree(input, { disk, tree: await wholeTree(upload) });
  input.context.signal.throwIfAborted();
  await digests.clear();
  if (sink.kind === 'parts') await forgetParts({ sink, disk, contentId, context: input.context });
  return root;
}

async function wholeTree({ input, disk, digests }: Upload): Promise<DigestTree> {
  if (input.job.pass === 0) return digests.tree;
  // That of the pass before; or, where an attempt died right after this one's was kept, the same again.
  const before = await readKeptTree(input.evidence, { record: input.record, disk }, input.context.signal);
  if (before === null) throw missing(input.record, `a digest tree of the pass before of disk ${disk}`);
  return await mergeTrees(before, digests.tree);
}

async function digestFinished({ input, disk, digests, watch }: Upload): Promise<void> {
  const { signal } = watch;
  await using opened = await input.source.open(imageOf(input.record, disk), signal);
  await using reader = await openDiskReader(opened, signal);
  const laterPass = await openLaterPass(input, { disk, opened });
  const later = laterPass === null ? {} : { candidates: laterPass.dirtyBlocks, writeZeros: async () => {} };
  await digestMissing({ reader, digests, ...later, signal });
  await watch.check();
}

function withRoot(artifact: Artifact, root: string): Artifact {
  const digest = { algorithm: 'sha256-tree', value: root, isConfirmed: false };
  const others = artifact.digests.filter(({ algorithm }) => algorithm !== digest.algorithm);
  return { ...artifact, digests: [...others, digest] };
}

/** What the target refused is told with how far the upload came; anything else stays as it is. */
function stoppedAt({ input, disk, progress }: Upload, error: unknown): unknown {
  if (!(error instanceof LandfallError) || !error.code.startsWith('target-')) return error;
  const doneBytes = progress.doneBytes();
  const totalBytes = progress.totalBytes();
  const at = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  return new LandfallError({
    code: error.code,
    message: `Upload of ${input.record.machine.name} disk ${disk} stopped at ${at}: ${error.message}`,
    retryable: error.retryable,
    cause: error,
    context: { ...error.context, disk, doneBytes, totalBytes },
  });
}
