/**
 * The end of an upload: what the object must be is written down, every part is held against what S3 lists, then
 * CompleteMultipartUpload with the checksum of the whole, then what S3 says that it holds.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
import { CompleteMultipartUploadCommand, type CompleteMultipartUploadRequest } from '@aws-sdk/client-s3';
import { crc32ToBase64 } from '../../../src/blocks/crc32.ts';
import { asLandfallError, LandfallError } from '../../../src/domain/errors.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { HeldPart } from '../../../src/domain/ports.ts';
import { type ChecksumMode, digestsOf } from './checksum-mode.ts';
import { ask, askUnless, awsCodeOf } from './errors.ts';
import { findFinished } from './finished-object.ts';
import {
  abortMultipart,
  headObject,
  heldPartOf,
  listMultiparts,
  listParts,
  objectUrl,
  type UploadPlace,
  uploadInput,
} from './multipart.ts';
import { type Completion, expiredUpload, type Layout, type OpenUpload } from './open-upload.ts';
import { MIN_PART_BYTES } from './part-size.ts';

/** Complete does not find an open upload, or finds that the object stands: an earlier Complete may have succeeded. */
const MAYBE_COMPLETE = new Set(['NoSuchUpload', 'PreconditionFailed', 'ConditionalRequestConflict']);

/** S3 holds other parts than those named, or was asked twice at once: the next try lists the parts anew. */
const PARTS_DIFFER = new Set(['InvalidPart', 'BadDigest', 'ConditionalRequestConflict']);

/** A part as it was sent. */
type SentPart = HeldPart & { crc32: number };

export type SentParts = { place: UploadPlace; mode: ChecksumMode; parts: readonly SentPart[] };

/** Puts the parts together and asks S3 what it holds now. Idempotent. */
export async function completeUpload(upload: OpenUpload, sent: SentParts): Promise<Artifact> {
  const { context } = upload;
  checkLengths(sent.parts);
  const completion = completionOf(sent.parts);
  // First of all: after a lost answer the object is recognised by this. An attempt whose lease is gone ends here.
  upload.entry = await context.ledger.settle(upload.entry, 'intended', completion);
  const parts = await listedParts(upload, sent);
  if (parts !== null) await sendComplete(upload, { ...sent, parts, completion });
  const artifact = await findFinished(upload);
  if (artifact === null) throw parts === null ? expiredUpload(upload) : await lostObject(upload, completion);
  await abortStrays(upload);
  await context.ledger.settle(upload.entry, 'done', artifact.ref);
  return artifact;
}

function checkLengths(parts: readonly SentPart[]): void {
  if (parts.length === 0) throw new TypeError('an upload without parts');
  const short = parts.slice(0, -1).findIndex(({ bytes }) => bytes < MIN_PART_BYTES);
  if (short !== -1)
    throw new TypeError(`part ${short + 1} has ${parts[short]?.bytes} bytes and is not the last`);
}

function completionOf(parts: readonly SentPart[]): Completion {
  const lengthBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  return { lengthBytes, partCount: parts.length, ...digestsOf(parts) };
}

/**
 * The parts as S3 lists them, each the same as was sent; null where the upload is not open any more. Parts beyond the
 * last, of an earlier attempt whose file was longer, are left out: Complete takes those that it names.
 */
async function listedParts(
  upload: OpenUpload,
  { place, parts }: SentParts,
): Promise<readonly SentPart[] | null> {
  const listed = await listParts(upload.options.s3, place, upload.context.signal);
  if (listed === null) return null;
  const held = new Map(listed.parts.map((part) => [part.PartNumber, heldPartOf(part)]));
  return parts.map((part, index) => {
    const found = held.get(index + 1) ?? null;
    if (found === null || !isSame(part, found))
      throw otherPart(upload.layout, { number: index + 1, part, found });
    return { ...part, etag: found.etag };
  });
}

/** An ETag is new with each write where the bucket encrypts by KMS, so the checksum decides where it is told. */
function isSame(sent: SentPart, held: HeldPart): boolean {
  if (held.bytes !== sent.bytes) return false;
  return held.crc32 === null ? held.etag === sent.etag : held.crc32 === sent.crc32;
}

async function sendComplete(
  upload: OpenUpload,
  { place, mode, parts, completion }: SentParts & { completion: Completion },
): Promise<void> {
  const { options, request, context, layout } = upload;
  const call = {
    doing: `Finishing the upload of ${context.machine} disk ${request.disk}`,
    action: 's3:PutObject',
    resource: objectUrl(place),
  };
  const input: CompleteMultipartUploadRequest = {
    ...uploadInput(place),
    MultipartUpload: {
      Parts: parts.map((part, index) => ({
        PartNumber: index + 1,
        ETag: `"${part.etag}"`,
        ...(mode === 'none' ? {} : { ChecksumCRC32: crc32ToBase64(part.crc32) }),
      })),
    },
    ...wholeChecksum(mode, completion),
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
    if (isThere) return;
    if (code === 'NoSuchUpload') throw expiredUpload(upload, error);
    throw PARTS_DIFFER.has(code) ? tryAnew(error) : error;
  }
}

function wholeChecksum(
  mode: ChecksumMode,
  { crc32, lengthBytes }: Completion,
): Pick<CompleteMultipartUploadRequest, 'ChecksumType' | 'ChecksumCRC32' | 'MpuObjectSize'> {
  if (mode !== 'full-object') return {};
  const whole = Buffer.from(crc32, 'hex').toString('base64');
  return { ChecksumType: 'FULL_OBJECT', ChecksumCRC32: whole, MpuObjectSize: lengthBytes };
}

/** A Create whose answer was lost is sent again by the SDK and leaves an upload without parts behind. */
async function abortStrays({ options, context, layout }: OpenUpload): Promise<void> {
  const place = { bucket: layout.bucket, prefix: layout.key };
  for (const stray of await listMultiparts(options.s3, place, context.signal))
    await abortMultipart(options.s3, stray, context.signal);
}

function otherPart(
  layout: Layout,
  { number, part, found }: { number: number; part: SentPart; found: HeldPart | null },
): LandfallError {
  const held =
    found === null
      ? 'is not held any more'
      : `was overwritten after it was acknowledged (${found.bytes} bytes are held, ${part.bytes} were sent)`;
  return new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `Part ${number} of ${objectUrl(layout)} ${held}, as by an earlier attempt that woke up late. Nothing was put together; the next try sends the file again.`,
    context: { part: number, bucket: layout.bucket, key: layout.key },
  });
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

async function lostObject(
  { options, context, layout }: OpenUpload,
  { lengthBytes }: Completion,
): Promise<LandfallError> {
  const head = await headObject(options.s3, layout, context.signal);
  const held = head === null ? 'does not hold it' : `holds ${head.ContentLength} bytes of another content`;
  return new LandfallError({
    code: 'target-refused',
    message: `The upload to ${objectUrl(layout)} was acknowledged with ${lengthBytes} bytes, but the bucket ${held}. Look for rules or people that change objects under this prefix.`,
    context: { bucket: layout.bucket, key: layout.key },
  });
}
