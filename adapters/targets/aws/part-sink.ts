/**
 * A file on its way into S3: one multipart upload under a name that is a function of the ledger's token. Whoever opens
 * it asks S3 what it holds (ListParts, HeadObject).
 *
 *   intended ──► upload open ──► parts held ──► completion noted ──► object ──► done
 *      │              │ NoSuchUpload: HeadObject first where a completion is noted, since Complete may have succeeded;
 *      │              └── else it expired: a new upload to the same key
 *      └── Create was not acknowledged: found by ListMultipartUploads
 *
 * Fencing: an attempt whose lease is gone is stopped by its signal just before each request, and by the ledger before
 * Complete. What remains is a request that left it before: a part that arrives late, over the successor's of the same
 * number. It cannot become part of an object, because ListParts is held against every part right before Complete, and
 * Complete names the ETag (and CRC-32) of each: S3 refuses it where one was overwritten in between.
 *
 * Memory: this sink keeps what is held, 10,000 entries of about 200 bytes at most, and no part; see part-size.ts for the
 * caller's. Parts are sent as Buffers, since a stream cannot be sent again by the SDK's retry.
 */
import { UploadPartCommand } from '@aws-sdk/client-s3';
import { crc32, crc32ToBase64 } from '../../../src/blocks/crc32.ts';
import type { Container } from '../../../src/domain/image.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type {
  HeldPart,
  LedgerEntry,
  PartSink,
  StepContext,
  UploadRequest,
} from '../../../src/domain/ports.ts';
import { type ChecksumMode, shortfallOf } from './checksum-mode.ts';
import { completeUpload } from './complete-upload.ts';
import { ask, awsCodeOf } from './errors.ts';
import { findFinished } from './finished-object.ts';
import {
  abortMultipart,
  createMultipart,
  findMultipart,
  headObject,
  heldPartOf,
  listMultiparts,
  listParts,
  objectUrl,
  type UploadPlace,
  unquoteEtag,
  uploadInput,
} from './multipart.ts';
import { objectKey, objectMetadata } from './names.ts';
import { deleteObject, objectRef } from './object.ts';
import {
  damagedPart,
  expiredUpload,
  type Layout,
  layoutFrom,
  type OpenUpload,
  type UploadOptions,
} from './open-upload.ts';
import { MAX_PARTS, partBytesOf, partSizesFor } from './part-size.ts';
import { signInSlices } from './payload-signature.ts';

/** A part whose bytes were damaged on the way: sent anew, it can be whole. */
const DAMAGED = new Set(['BadDigest', 'InvalidDigest', 'XAmzContentChecksumMismatch']);

export type PartsRequest = UploadRequest & { form: { kind: 'parts'; container: Container } };

export async function openPartSink(
  options: UploadOptions,
  request: PartsRequest,
  context: StepContext,
): Promise<PartSink> {
  const upload = await declareUpload(options, request, context);
  const { entry } = upload;
  const knownId = typeof entry.ref?.uploadId === 'string' ? entry.ref.uploadId : null;
  if (entry.state === 'intended' && knownId !== null) {
    const held = await heldBy(upload, knownId);
    if (held !== null) return createSink(upload, held);
  }
  const finished = await findFinished(upload);
  if (finished !== null) {
    if (entry.state !== 'done') await context.ledger.settle(entry, 'done', finished.ref);
    return createFinishedSink(upload, finished);
  }
  if (entry.state === 'done') {
    await context.ledger.settle(entry, 'discarded');
    return openPartSink(options, request, context);
  }
  if (knownId !== null) {
    const message = `The upload of ${context.machine} disk ${request.disk} had expired at S3: it starts again.`;
    context.log('warn', message, { disk: request.disk, bucket: upload.layout.bucket });
  }
  return createSink(upload, await findOrCreate(upload));
}

/** Writes the intent. Another content than an earlier attempt's is another upload: what that one left is removed. */
async function declareUpload(
  options: UploadOptions,
  request: PartsRequest,
  context: StepContext,
): Promise<OpenUpload> {
  const { container } = request.form;
  const entry = await context.ledger.intend(`upload:${request.disk}`);
  if (entry.ref === null) {
    const { bucket, prefix, firstPartBytes } = options;
    const layout: Layout = {
      bucket,
      key: objectKey(prefix, { entry, container }),
      contentId: request.contentId,
      container,
      partSizes: partSizesFor({ maxFileBytes: request.maxFileBytes, wantedBytes: firstPartBytes }),
    };
    return { options, request, context, entry, layout };
  }
  const layout = layoutFrom(entry);
  if (layout?.contentId === request.contentId && layout.container === container)
    return { options, request, context, entry, layout };
  const message = `Disk ${request.disk} is not what it was when its upload began: it starts again.`;
  context.log('warn', message, { disk: request.disk });
  await removeEarlier(options, entry, context);
  await context.ledger.settle(entry, 'discarded');
  return declareUpload(options, request, context);
}

/** The open upload, and the object where it is complete already: nobody would look for them under this entry any more. */
async function removeEarlier({ s3 }: UploadOptions, entry: LedgerEntry, context: StepContext): Promise<void> {
  const place = objectRef(entry.ref);
  if (place === null) return;
  const { bucket, key } = place;
  for (const open of await listMultiparts(s3, { bucket, prefix: key }, context.signal))
    await abortMultipart(s3, open, context.signal);
  const head = await headObject(s3, { bucket, key }, context.signal);
  if (head === null) return;
  const version = head.VersionId === undefined ? {} : { versionId: head.VersionId };
  await deleteObject(s3, { bucket, key, ...version }, context.signal);
}

type HeldUpload = { uploadId: string; mode: ChecksumMode; parts: Map<number, HeldPart> };

async function findOrCreate(upload: OpenUpload): Promise<HeldUpload> {
  const { options, context, layout } = upload;
  const foundId = await findMultipart(options.s3, layout, context.signal);
  const found = foundId === null ? null : await heldBy(upload, foundId);
  if (found !== null) {
    await rememberUpload(upload, found.uploadId);
    return found;
  }
  const metadata = objectMetadata(context);
  const { uploadId, mode } = await createMultipart(options.s3, layout, { metadata, signal: context.signal });
  // Before the first part is sent: how the file is cut must not change any more.
  await rememberUpload(upload, uploadId);
  const shortfall = shortfallOf(mode);
  if (shortfall !== null) context.log('warn', shortfall, { bucket: layout.bucket, checksums: mode });
  return { uploadId, mode, parts: new Map() };
}

async function rememberUpload(upload: OpenUpload, uploadId: string): Promise<void> {
  const ref = { ...upload.layout, uploadId };
  upload.entry = await upload.context.ledger.settle(upload.entry, 'intended', ref);
}

/** What S3 holds of this upload; null where it is gone. */
async function heldBy(upload: OpenUpload, uploadId: string): Promise<HeldUpload | null> {
  const { options, context, layout } = upload;
  const listed = await listParts(options.s3, { ...layout, uploadId }, context.signal);
  if (listed === null) return null;
  const parts = new Map<number, HeldPart>();
  for (const part of listed.parts) {
    const held = heldPartOf(part);
    if (held !== null) parts.set(part.PartNumber ?? 0, held);
  }
  return { uploadId, mode: listed.mode, parts };
}

function createFinishedSink({ layout, entry }: OpenUpload, artifact: Artifact): PartSink {
  return {
    kind: 'parts',
    id: String(entry.ref?.uploadId),
    finished: artifact,
    held: new Map(),
    partBytes: (number) => partBytesOf(number, layout.partSizes),
    writePart: async ({ number }) => {
      throw new TypeError(`part ${number} of a finished upload`);
    },
    finish: async () => artifact,
  };
}

function createSink(upload: OpenUpload, { uploadId, mode, parts }: HeldUpload): PartSink {
  const { layout } = upload;
  const place: UploadPlace = { bucket: layout.bucket, key: layout.key, uploadId };
  let finished: Artifact | null = null;
  return {
    kind: 'parts',
    id: uploadId,
    finished: null,
    held: parts,
    partBytes: (number) => partBytesOf(number, layout.partSizes),
    writePart: (part, signal) => sendPart(upload, { place, mode, part, signal }),
    finish: async (all) => {
      finished ??= await completeUpload(upload, { place, mode, parts: all });
      return finished;
    },
  };
}

async function sendPart(
  upload: OpenUpload,
  send: {
    place: UploadPlace;
    mode: ChecksumMode;
    part: { number: number; bytes: Uint8Array; crc32: number };
    signal: AbortSignal;
  },
): Promise<HeldPart> {
  const { options, request, layout, context } = upload;
  const { place, mode, part } = send;
  if (part.number > MAX_PARTS)
    throw new TypeError(`part ${part.number} of a file that was said to fit ${MAX_PARTS}`);
  // Where the server does not check what it was sent, at least what is handed to the network is checked.
  if (mode === 'none' && crc32(part.bytes) !== part.crc32) throw damagedPart(part.number, layout);
  const call = {
    doing: `Uploading part ${part.number} of ${context.machine} disk ${request.disk}`,
    action: 's3:PutObject',
    resource: objectUrl(place),
  };
  const checksum =
    mode === 'none' ? {} : { ChecksumAlgorithm: 'CRC32' as const, ChecksumCRC32: crc32ToBase64(part.crc32) };
  const command = new UploadPartCommand({
    ...uploadInput(place),
    PartNumber: part.number,
    Body: part.bytes,
    ContentLength: part.bytes.length,
    ...checksum,
  });
  signInSlices(command, { bytes: part.bytes, isChecked: mode !== 'none' });
  // The SDK looks at it before each of its tries: an attempt that lost its lease sends nothing any more.
  const abortSignal = AbortSignal.any([context.signal, send.signal]);
  try {
    const answer = await ask(call, () => options.s3.send(command, { abortSignal }));
    const crc = mode === 'none' ? null : part.crc32;
    return { bytes: part.bytes.length, crc32: crc, etag: unquoteEtag(answer.ETag ?? '') };
  } catch (error) {
    const code = awsCodeOf(error);
    if (code === 'NoSuchUpload') throw expiredUpload(upload, error);
    throw DAMAGED.has(code) ? damagedPart(part.number, layout, error) : error;
  }
}
