/**
 * Upload brings one prepared file to the target in parts, and goes on where an earlier attempt stopped: parts that the
 * target holds are never sent again. Memory: see part-lanes.ts, plus under 2 MB of digests for 10,000 parts.
 */
import { createHash } from 'node:crypto';
import { combineCrc32, crc32ToHex } from '../blocks/crc32.ts';
import { type FileParts, openFileParts, type PartDigest } from '../blocks/file-parts.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Artifact, Digest } from '../domain/landing.ts';
import type { StepOutput } from '../domain/machine-record.ts';
import type { StepOutcome, UploadSink } from '../domain/ports.ts';
import { guardFile } from './file-guard.ts';
import { findHeldParts } from './held-parts.ts';
import { openPartDigests, type PartDigests } from './part-digests.ts';
import { sendParts } from './part-lanes.ts';
import { diskOf, missing, type StepInput } from './step-input.ts';

export async function uploadDisk(input: StepInput): Promise<StepOutcome<StepOutput>> {
  const { record, target, context } = input;
  const disk = diskOf(input).id;
  const prepared = record.prepared[disk];
  if (prepared === undefined) throw missing(record, `the prepared file of disk ${disk}`);
  const { container, lengthBytes, fingerprint, file } = prepared;

  await using guard = await guardFile(input, prepared);
  const request = { machine: record.machine, disk, to: record.plan.to, container, lengthBytes };
  const sink = await target.openUpload(request, context);
  const { partBytes } = sink;
  await using parts = await openFileParts({ file, lengthBytes, partBytes });
  const { partCount } = parts;
  const digests = await openPartDigests({
    checkpoints: context.checkpoints,
    disk,
    fingerprint,
    partBytes,
    partCount,
  });
  const upload: Upload = { input, disk, sink, parts, digests, signal: guard.signal };

  const ordered = inOrder(parts, sink.finished === null ? await sendMissing(upload) : await knowAll(upload));
  await guard.check();
  const artifact = sink.finished ?? (await finish(upload, ordered));
  requireSameCrc({ upload, artifact, ordered });
  context.report({ doneBytes: lengthBytes, totalBytes: lengthBytes, note: 'uploaded' });
  return { kind: 'done', value: { stage: 'upload', disk, artifact: withRoot(artifact, ordered) } };
}

type Upload = {
  input: StepInput;
  disk: string;
  sink: UploadSink;
  parts: FileParts;
  digests: PartDigests;
  signal: AbortSignal;
};

/** Sends what the target does not hold; gives the digests of all parts, by number. */
async function sendMissing(upload: Upload): Promise<Map<number, PartDigest>> {
  const { sink, parts, digests, signal, input } = upload;
  const { held, readCount } = await findHeldParts({
    parts,
    claimed: sink.held,
    known: digests.known,
    signal,
  });
  for (const [number, digest] of held) {
    if (!digests.known.has(number)) digests.add(number, digest);
  }
  if (held.size > 0) logResume(upload, { heldCount: held.size, readCount });
  const all = new Map(held);
  const progress = createProgress(upload, held);
  const onHeld = (number: number, digest: PartDigest): void => {
    digests.add(number, digest);
    all.set(number, digest);
    progress.add(number);
  };
  const numbers = numbersOf(parts).filter((number) => !held.has(number));
  const { clock } = input.context;
  try {
    await sendParts({ parts, numbers, sink, clock, signal, onHeld, save: digests.save });
  } catch (error) {
    throw stoppedAt({ upload, doneBytes: progress.doneBytes(), error });
  }
  return all;
}

/** The target put the parts together in an earlier attempt: what is left is to know their digests. */
async function knowAll({ parts, digests, signal }: Upload): Promise<ReadonlyMap<number, PartDigest>> {
  const unknown = numbersOf(parts).filter((number) => !digests.known.has(number));
  if (unknown.length === 0) return digests.known;
  const buffer = Buffer.allocUnsafeSlow(parts.lengthOf(1));
  for (const number of unknown) digests.add(number, (await parts.read({ number, buffer, signal })).digest);
  await digests.save();
  return digests.known;
}

async function finish(upload: Upload, ordered: readonly PartDigest[]): Promise<Artifact> {
  upload.input.context.signal.throwIfAborted();
  try {
    return await upload.sink.finish(ordered.map((part) => part.crc32));
  } catch (error) {
    throw stoppedAt({ upload, doneBytes: upload.parts.lengthBytes, error });
  }
}

/**
 * Nothing is reported before it is known what the target holds: then the bar starts there and never goes back.
 */
function createProgress(
  { input, parts }: Upload,
  held: ReadonlyMap<number, PartDigest>,
): { add(number: number): void; doneBytes(): number } {
  const totalBytes = parts.lengthBytes;
  let doneBytes = 0;
  for (const number of held.keys()) doneBytes += parts.lengthOf(number);
  const report = (): void => input.context.report({ doneBytes, totalBytes, note: 'uploading' });
  report();
  return {
    add: (number) => {
      doneBytes += parts.lengthOf(number);
      report();
    },
    doneBytes: () => doneBytes,
  };
}

/** The CRC of the whole follows from the parts'; a target that tells another one holds something else. */
function requireSameCrc(check: { upload: Upload; artifact: Artifact; ordered: readonly PartDigest[] }): void {
  const { upload, artifact, ordered } = check;
  const told = artifact.digests.find((digest) => digest.algorithm === 'crc32');
  if (told === undefined) return;
  const { parts, disk, input } = upload;
  const whole = ordered.map(({ crc32 }, index) => ({ crc32, bytes: parts.lengthOf(index + 1) }));
  const ours = crc32ToHex(combineCrc32(whole));
  if (told.value === ours) return;
  const { run, machine } = input.record;
  throw new LandfallError({
    code: 'digest-mismatch',
    message: `What the target holds of ${machine.name} disk ${disk} has CRC-32 ${told.value}, the file has ${ours}. \`landfall discard ${run} ${machine.name}\` removes it and \`landfall retry ${run} ${machine.name}\` sends it afresh.`,
    context: { disk, held: told.value, file: ours },
  });
}

/** "sha256-parts": SHA-256 over the parts' SHA-256 digests (32 raw bytes each) in order. */
function withRoot(artifact: Artifact, ordered: readonly PartDigest[]): Artifact {
  const root = createHash('sha256');
  for (const { sha256 } of ordered) root.update(sha256, 'hex');
  const digest: Digest = { algorithm: 'sha256-parts', value: root.digest('hex'), isConfirmed: false };
  const others = artifact.digests.filter(({ algorithm }) => algorithm !== digest.algorithm);
  return { ...artifact, digests: [...others, digest] };
}

function numbersOf({ partCount }: FileParts): number[] {
  return Array.from({ length: partCount }, (_, index) => index + 1);
}

function inOrder(parts: FileParts, all: ReadonlyMap<number, PartDigest>): PartDigest[] {
  return numbersOf(parts).map((number) => {
    const digest = all.get(number);
    if (digest === undefined) throw new TypeError(`part ${number} was neither held nor sent`);
    return digest;
  });
}

function logResume({ disk, parts, input }: Upload, found: { heldCount: number; readCount: number }): void {
  const { heldCount, readCount } = found;
  const message = `Upload of disk ${disk} goes on: the target holds ${heldCount} of ${parts.partCount} parts; ${readCount} were read again and compared.`;
  input.context.log('info', message, {
    disk,
    heldParts: heldCount,
    partCount: parts.partCount,
    readAgain: readCount,
  });
}

/** What the target refused is told with how far the upload came; anything else stays as it is. */
function stoppedAt(stop: { upload: Upload; doneBytes: number; error: unknown }): unknown {
  const { upload, doneBytes, error } = stop;
  if (!(error instanceof LandfallError) || !error.code.startsWith('target-')) return error;
  const { parts, disk, input } = upload;
  const at = `${formatBytes(doneBytes)} of ${formatBytes(parts.lengthBytes)}`;
  return new LandfallError({
    code: error.code,
    message: `Upload of ${input.record.machine.name} disk ${disk} stopped at ${at}: ${error.message}`,
    retryable: error.retryable,
    cause: error,
    context: { ...error.context, disk, doneBytes, totalBytes: parts.lengthBytes },
  });
}
