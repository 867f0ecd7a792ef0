/**
 * A disk on its way into S3: one multipart upload under a name that is a function of the ledger's token. Whoever opens
 * it asks S3 what it holds (ListParts, HeadObject); nothing else is remembered.
 *
 *   intended ──► upload open ──► parts held ──► object ──► done
 *      │  Create was not acknowledged: found by ListMultipartUploads
 *      └── NoSuchUpload: HeadObject first, since Complete may have succeeded; else a new upload to the same key
 *
 * Memory: this sink keeps `partCount` entries of about 100 bytes (1 MB at most) and no part; the caller holds
 * partBytes × concurrent parts. Parts are sent as Buffers, since a stream cannot be sent again by the SDK's retry.
 */
import { type HeadObjectCommandOutput, type Part, UploadPartCommand } from '@aws-sdk/client-s3';
import { crc32, crc32FromBase64, crc32ToBase64 } from '../../../src/blocks/crc32.ts';
import type { Artifact } from '../../../src/domain/landing.ts';
import type { StepContext, UploadRequest, UploadSink } from '../../../src/domain/ports.ts';
import { type ChecksumMode, shortfallOf } from './checksum-mode.ts';
import { completeUpload } from './complete-upload.ts';
import { ask, awsCodeOf } from './errors.ts';
import {
  abortMultipart,
  createMultipart,
  findMultipart,
  headObject,
  listParts,
  objectUrl,
  type UploadPlace,
  uploadInput,
} from './multipart.ts';
import { objectKey, objectMetadata } from './names.ts';
import { artifactOf, deleteObject } from './object.ts';
import {
  damagedPart,
  type Layout,
  layoutFrom,
  type OpenUpload,
  type SentPart,
  type UploadOptions,
} from './open-upload.ts';
import { lengthOfPart, partCountFor, partSizeFor } from './part-size.ts';

/** A part whose bytes were damaged on the way: sent anew, it can be whole. */
const DAMAGED = new Set(['BadDigest', 'InvalidDigest', 'XAmzContentChecksumMismatch']);
export async function openUploadSink(
  options: UploadOptions,
  request: UploadRequest,
  context: StepContext,
): Promise<UploadSink> {
  const upload = await declareUpload(options, request, context);
  const knownId = upload.entry.ref?.uploadId;
  if (upload.entry.state === 'done') {
    const finished = await findFinished(upload);
    if (finished !== null) return finishedSink(upload, finished);
    await context.ledger.settle(upload.entry, 'discarded');
    return openUploadSink(options, request, context);
  }
  if (typeof knownId === 'string') {
    const held = await partsOf(upload, knownId);
    if (held !== null) return createSink(upload, held);
    const finished = await findFinished(upload);
    if (finished !== null) return finishedSink(upload, finished);
  }
  return createSink(upload, await findOrCreate(upload));
}

/** Writes the intent. A disk that was converted anew to another length is another upload: the old one is removed. */
async function declareUpload(
  options: UploadOptions,
  request: UploadRequest,
  context: StepContext,
): Promise<OpenUpload> {
  const entry = await context.ledger.intend(`upload:${request.disk}`);
  const known = layoutFrom(entry);
  if (known === null) {
    const { lengthBytes } = request;
    const layout: Layout = {
      bucket: options.bucket,
      key: objectKey(options.prefix, { entry, container: request.container }),
      lengthBytes,
      partBytes: partSizeFor({ lengthBytes, wantedBytes: options.partBytes }),
    };
    return { options, request, context, entry, layout };
  }
  if (known.lengthBytes === request.lengthBytes) return { options, request, context, entry, layout: known };
  context.log('warn', `Disk ${request.disk} is no longer as long as when its upload began: it starts again.`);
  const uploadId = entry.ref?.uploadId;
  if (typeof uploadId === 'string') await abortMultipart(options.s3, { ...known, uploadId }, context.signal);
  // It may be complete already: nobody would look for its object under this entry any more.
  const head = await headObject(options.s3, known, context.signal);
  if (head !== null) {
    const version = head.VersionId === undefined ? {} : { versionId: head.VersionId };
    await deleteObject(options.s3, { bucket: known.bucket, key: known.key, ...version }, context.signal);
  }
  await context.ledger.settle(entry, 'discarded');
  return declareUpload(options, request, context);
}

type HeldUpload = { uploadId: string; mode: ChecksumMode; parts: Map<number, SentPart> };

async function findOrCreate(upload: OpenUpload): Promise<HeldUpload> {
  const { options, context, layout } = upload;
  const foundId = await findMultipart(options.s3, layout, context.signal);
  const found = foundId === null ? null : await partsOf(upload, foundId);
  if (found !== null) {
    await rememberUpload(upload, found.uploadId);
    return found;
  }
  const metadata = objectMetadata(context);
  const { uploadId, mode } = await createMultipart(options.s3, layout, { metadata, signal: context.signal });
  // Before the first part is sent: a part's place depends on the part size, which must not change any more.
  await rememberUpload(upload, uploadId);
  const shortfall = shortfallOf(mode);
  if (shortfall !== null) context.log('warn', shortfall, { bucket: layout.bucket, checksums: mode });
  return { uploadId, mode, parts: new Map() };
}

async function rememberUpload(upload: OpenUpload, uploadId: string): Promise<void> {
  const ref = { ...upload.layout, uploadId };
  upload.entry = await upload.context.ledger.settle(upload.entry, 'intended', ref);
}

/** What S3 holds of this upload; null where it is gone. A part of the wrong length does not count. */
async function partsOf(upload: OpenUpload, uploadId: string): Promise<HeldUpload | null> {
  const { options, context, layout } = upload;
  const listed = await listParts(options.s3, { ...layout, uploadId }, context.signal);
  if (listed === null) return null;
  const parts = new Map<number, SentPart>();
  for (const part of listed.parts) {
    const sent = sentPartOf(part);
    const number = part.PartNumber ?? 0;
    if (sent !== null && sent.bytes === lengthOfPart(number, layout)) parts.set(number, sent);
  }
  return { uploadId, mode: listed.mode, parts };
}

async function findFinished({
  options,
  context,
  layout,
}: OpenUpload): Promise<HeadObjectCommandOutput | null> {
  const head = await headObject(options.s3, layout, context.signal);
  return head?.ContentLength === layout.lengthBytes ? head : null;
}

async function finishedSink(upload: OpenUpload, head: HeadObjectCommandOutput): Promise<UploadSink> {
  const { request, context, layout } = upload;
  const known = upload.entry.ref?.crc32;
  const expected = typeof known === 'string' ? [{ algorithm: 'crc32', value: known }] : [];
  const artifact = artifactOf({ ...request, place: layout, head, expected });
  if (upload.entry.state !== 'done') await context.ledger.settle(upload.entry, 'done', artifact.ref);
  return {
    partBytes: layout.partBytes,
    partCount: partCountFor(layout),
    finished: artifact,
    held: new Map(),
    writePart: async ({ number }) => {
      throw new TypeError(`part ${number} of a finished upload`);
    },
    finish: async () => artifact,
  };
}

function createSink(upload: OpenUpload, { uploadId, mode, parts }: HeldUpload): UploadSink {
  const { layout } = upload;
  const place: UploadPlace = { bucket: layout.bucket, key: layout.key, uploadId };
  let finished: Artifact | null = null;
  return {
    partBytes: layout.partBytes,
    partCount: partCountFor(layout),
    finished: null,
    held: new Map(parts),
    writePart: async (part, signal) => {
      parts.set(part.number, await sendPart(upload, { place, mode, part, signal }));
    },
    finish: async (crc32ByPart) => {
      finished ??= await completeUpload(upload, { place, mode, parts, crc32ByPart });
      return finished;
    },
  };
}

async function sendPart(
  { options, request, layout, context }: OpenUpload,
  send: {
    place: UploadPlace;
    mode: ChecksumMode;
    part: { number: number; bytes: Uint8Array; crc32: number };
    signal: AbortSignal;
  },
): Promise<SentPart> {
  const { place, mode, part } = send;
  const wantedBytes = lengthOfPart(part.number, layout);
  if (part.bytes.length !== wantedBytes)
    throw new TypeError(`part ${part.number} has ${part.bytes.length} bytes instead of ${wantedBytes}`);
  // Where the server does not check what it was sent, at least what is handed to the network is checked.
  if (mode === 'none' && crc32(part.bytes) !== part.crc32) throw damagedPart(part.number, layout);
  const call = {
    doing: `Uploading part ${part.number} of ${partCountFor(layout)} of ${context.machine} disk ${request.disk}`,
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
  const abortSignal = AbortSignal.any([context.signal, send.signal]);
  try {
    const answer = await ask(call, () => options.s3.send(command, { abortSignal }));
    return { bytes: part.bytes.length, crc32: part.crc32, etag: answer.ETag ?? '' };
  } catch (error) {
    throw DAMAGED.has(awsCodeOf(error)) ? damagedPart(part.number, layout, error) : error;
  }
}

function sentPartOf({ Size, ETag, ChecksumCRC32 }: Part): SentPart | null {
  if (Size === undefined || ETag === undefined) return null;
  const crc = ChecksumCRC32 === undefined ? null : crc32FromBase64(ChecksumCRC32);
  return { bytes: Size, crc32: crc, etag: ETag };
}
