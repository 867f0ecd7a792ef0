/**
 * The end of an upload: all parts known and checked, then CompleteMultipartUpload with the checksum of the whole, then
 * what S3 says that it holds.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
import { CompleteMultipartUploadCommand, type CompleteMultipartUploadRequest } from '@aws-sdk/client-s3';
import { crc32ToBase64, type PartCrc32 } from '../../../src/blocks/crc32.ts';
import { asLandfallError, LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import { type ChecksumMode, digestsOf, digestsTold } from './checksum-mode.ts';
import { ask, askUnless, awsCodeOf } from './errors.ts';
import {
  abortMultipart,
  headObject,
  listMultiparts,
  objectUrl,
  type UploadPlace,
  uploadInput,
} from './multipart.ts';
import { artifactOf } from './object.ts';
import { damagedPart, type Layout, type OpenUpload, type SentPart } from './open-upload.ts';
import { partCountFor } from './part-size.ts';

/** Complete does not find an open upload, or finds that the object stands: an earlier Complete may have succeeded. */
const MAYBE_COMPLETE = new Set(['NoSuchUpload', 'PreconditionFailed', 'ConditionalRequestConflict']);

/** S3 holds other parts than those named, or was asked twice at once: the next try lists the parts anew. */
const PARTS_DIFFER = new Set(['InvalidPart', 'BadDigest', 'ConditionalRequestConflict']);

export type Completion = {
  place: UploadPlace;
  mode: ChecksumMode;
  parts: ReadonlyMap<number, SentPart>;
  crc32ByPart: readonly number[];
};

/** Puts the parts together and asks S3 what it holds now. Idempotent. */
export async function completeUpload(upload: OpenUpload, completion: Completion): Promise<Artifact> {
  const { options, request, context, layout } = upload;
  const known = knownParts(upload, completion);
  const digests = digestsOf(known);
  upload.entry = await context.ledger.settle(upload.entry, 'intended', { crc32: digests.crc32 });
  await sendComplete(upload, { ...completion, known });
  const head = await headObject(options.s3, layout, context.signal);
  if (head === null || head.ContentLength !== layout.lengthBytes)
    throw lostObject(layout, head?.ContentLength ?? null);
  const expected = [{ algorithm: 'crc32', value: digests.crc32 }];
  if (completion.mode === 'composite')
    expected.push({ algorithm: 'crc32-parts', value: digests.crc32OfParts });
  const artifact = artifactOf({ ...request, place: layout, head, expected });
  const isRefuted = digestsTold(head).some((told) =>
    expected.some((digest) => digest.algorithm === told.algorithm && digest.value !== told.value),
  );
  if (isRefuted) throw lostObject(layout, head.ContentLength ?? null);
  await abortStrays(upload);
  await context.ledger.settle(upload.entry, 'done', artifact.ref);
  return artifact;
}

/** A Create whose answer was lost is sent again by the SDK and leaves an upload without parts behind. */
async function abortStrays({ options, context, layout }: OpenUpload): Promise<void> {
  const place = { bucket: layout.bucket, prefix: layout.key };
  for (const stray of await listMultiparts(options.s3, place, context.signal))
    await abortMultipart(options.s3, stray, context.signal);
}

/** Every part as the source has it, checked against what S3 holds before it is asked to put them together. */
function knownParts(
  { layout }: OpenUpload,
  { parts, crc32ByPart }: Completion,
): (PartCrc32 & { etag: string })[] {
  const partCount = partCountFor(layout);
  if (crc32ByPart.length !== partCount)
    throw new TypeError(`${crc32ByPart.length} checksums for ${partCount} parts`);
  return crc32ByPart.map((crc, index) => {
    const part = parts.get(index + 1);
    if (part === undefined) throw new TypeError(`part ${index + 1} of ${partCount} was never written`);
    if (part.crc32 !== null && part.crc32 !== crc >>> 0) throw damagedPart(index + 1, layout);
    return { crc32: crc >>> 0, bytes: part.bytes, etag: part.etag };
  });
}

async function sendComplete(
  { options, request, context, layout }: OpenUpload,
  { place, mode, known }: Completion & { known: readonly (PartCrc32 & { etag: string })[] },
): Promise<void> {
  const call = {
    doing: `Finishing the upload of ${context.machine} disk ${request.disk}`,
    action: 's3:PutObject',
    resource: objectUrl(place),
  };
  const input: CompleteMultipartUploadRequest = {
    ...uploadInput(place),
    MultipartUpload: {
      Parts: known.map((part, index) => ({
        PartNumber: index + 1,
        ETag: part.etag,
        ...(mode === 'none' ? {} : { ChecksumCRC32: crc32ToBase64(part.crc32) }),
      })),
    },
    ...wholeChecksum(mode, { known, lengthBytes: layout.lengthBytes }),
  };
  const send = (condition: { IfNoneMatch?: '*' }): Promise<unknown> =>
    options.s3.send(new CompleteMultipartUploadCommand({ ...input, ...condition }), {
      abortSignal: context.signal,
    });
  try {
    const done = await askUnless(['NotImplemented'], call, () => send({ IfNoneMatch: '*' }));
    // Some S3 servers know no conditional writes. The key holds the ledger's token: nobody else writes there.
    if (done === null) await ask(call, () => send({}));
  } catch (error) {
    const code = awsCodeOf(error);
    const isThere =
      MAYBE_COMPLETE.has(code) && (await headObject(options.s3, layout, context.signal)) !== null;
    if (!isThere) throw PARTS_DIFFER.has(code) ? tryAnew(error) : error;
  }
}

function wholeChecksum(
  mode: ChecksumMode,
  { known, lengthBytes }: { known: readonly PartCrc32[]; lengthBytes: number },
): Pick<CompleteMultipartUploadRequest, 'ChecksumType' | 'ChecksumCRC32' | 'MpuObjectSize'> {
  if (mode !== 'full-object') return {};
  const whole = Buffer.from(digestsOf(known).crc32, 'hex').toString('base64');
  return { ChecksumType: 'FULL_OBJECT', ChecksumCRC32: whole, MpuObjectSize: lengthBytes };
}

function tryAnew(error: unknown): LandfallError {
  const { message, context } = asLandfallError(error);
  return new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `${message} It is tried again with the parts that the bucket holds then.`,
    cause: error,
    context,
  });
}

function lostObject(layout: Layout, heldBytes: number | null): LandfallError {
  const held = heldBytes === null ? 'does not hold it' : `holds ${heldBytes} bytes of another content`;
  return new LandfallError({
    code: 'target-refused',
    message: `The upload to ${objectUrl(layout)} was acknowledged with ${layout.lengthBytes} bytes, but the bucket ${held}. Look for rules or people that change objects under this prefix.`,
    context: { bucket: layout.bucket, key: layout.key },
  });
}
