/** The S3 calls of one multipart upload, paged to their end and with S3's errors classified. */
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
  type Part,
  type S3Client,
} from '@aws-sdk/client-s3';
import { crc32FromBase64 } from '../../../src/blocks/crc32.ts';
import type { HeldPart } from '../../../src/domain/ports.ts';
import { CHECKSUM_MODES, type ChecksumMode, modeTold, requestFor } from './checksum-mode.ts';
import { ask, askUnless, awsCodeOf } from './errors.ts';

export type ObjectPlace = { bucket: string; key: string };
export type UploadPlace = ObjectPlace & { uploadId: string };

/** How servers without checksums of full objects refuse to hear of them. */
const UNKNOWN_CHECKSUM = new Set(['NotImplemented', 'InvalidRequest', 'InvalidArgument', 'MalformedXML']);

export function objectUrl({ bucket, key }: ObjectPlace): string {
  return `s3://${bucket}/${key}`;
}

/** Starts an upload with the best checksum that the server takes. */
export async function createMultipart(
  s3: S3Client,
  place: ObjectPlace,
  { metadata, signal }: { metadata: Record<string, string>; signal: AbortSignal },
): Promise<{ uploadId: string; mode: ChecksumMode }> {
  const call = { doing: 'Starting an upload', action: 's3:PutObject', resource: objectUrl(place) };
  for (const mode of CHECKSUM_MODES) {
    const command = new CreateMultipartUploadCommand({
      Bucket: place.bucket,
      Key: place.key,
      ContentType: 'application/octet-stream',
      Metadata: metadata,
      ...requestFor(mode),
    });
    try {
      const answer = await ask(call, () => s3.send(command, { abortSignal: signal }));
      return { uploadId: answer.UploadId as string, mode: modeTold(answer) };
    } catch (error) {
      if (mode === 'none' || !UNKNOWN_CHECKSUM.has(awsCodeOf(error))) throw error;
    }
  }
  throw new TypeError('the last mode either answered or threw');
}

/** The oldest open upload to exactly this key; null where there is none. */
export async function findMultipart(
  s3: S3Client,
  place: ObjectPlace,
  signal: AbortSignal,
): Promise<string | null> {
  const uploads = await listMultiparts(s3, { bucket: place.bucket, prefix: place.key }, signal);
  return uploads.find((upload) => upload.key === place.key)?.uploadId ?? null;
}

/** Open uploads whose keys start with the prefix, oldest first. */
export async function listMultiparts(
  s3: S3Client,
  { bucket, prefix }: { bucket: string; prefix: string },
  signal: AbortSignal,
): Promise<UploadPlace[]> {
  const call = {
    doing: 'Looking for open uploads',
    action: 's3:ListBucketMultipartUploads',
    resource: `s3://${bucket}/${prefix}`,
  };
  const found: { place: UploadPlace; initiatedAt: number }[] = [];
  let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
  do {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...marker });
    const page: ListMultipartUploadsCommandOutput = await ask(call, () =>
      s3.send(command, { abortSignal: signal }),
    );
    for (const { Key: key, UploadId: uploadId, Initiated } of page.Uploads ?? []) {
      if (key !== undefined && uploadId !== undefined)
        found.push({ place: { bucket, key, uploadId }, initiatedAt: Initiated?.getTime() ?? 0 });
    }
    marker = nextUploads(page);
  } while (marker.KeyMarker !== undefined);
  return found.sort((a, b) => a.initiatedAt - b.initiatedAt).map(({ place }) => place);
}

/** All parts that S3 holds and what it checks them by; null where the upload is gone (completed, aborted, expired). */
export async function listParts(
  s3: S3Client,
  place: UploadPlace,
  signal: AbortSignal,
): Promise<{ parts: Part[]; mode: ChecksumMode } | null> {
  const call = {
    doing: 'Asking which parts are held',
    action: 's3:ListMultipartUploadParts',
    resource: objectUrl(place),
  };
  const parts: Part[] = [];
  let mode: ChecksumMode = 'none';
  let marker: string | undefined;
  do {
    const command = new ListPartsCommand({ ...uploadInput(place), PartNumberMarker: marker });
    const page: ListPartsCommandOutput | null = await askUnless(['NoSuchUpload'], call, () =>
      s3.send(command, { abortSignal: signal }),
    );
    if (page === null) return null;
    parts.push(...(page.Parts ?? []));
    mode = modeTold(page);
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return { parts, mode };
}

/** null where the server left out what a part is known by. */
export function heldPartOf({ Size, ETag, ChecksumCRC32 }: Part): HeldPart | null {
  if (Size === undefined || ETag === undefined) return null;
  const crc = ChecksumCRC32 === undefined ? null : crc32FromBase64(ChecksumCRC32);
  return { bytes: Size, crc32: crc, etag: unquoteEtag(ETag) };
}

/** Headers and XML hold it in quotes, not all servers write them everywhere: compared without. */
export function unquoteEtag(etag: string): string {
  return etag.replaceAll('"', '');
}

/** null where there is no such object. */
export async function headObject(
  s3: S3Client,
  place: ObjectPlace,
  signal: AbortSignal,
): Promise<HeadObjectCommandOutput | null> {
  const call = { doing: 'Looking for an object', action: 's3:GetObject', resource: objectUrl(place) };
  const command = new HeadObjectCommand({
    Bucket: place.bucket,
    Key: place.key,
    ChecksumMode: 'ENABLED',
  });
  return askUnless(['NotFound', 'NoSuchKey'], call, () => s3.send(command, { abortSignal: signal }));
}

/** Idempotent. */
export async function abortMultipart(s3: S3Client, place: UploadPlace, signal: AbortSignal): Promise<void> {
  const call = {
    doing: 'Removing an unfinished upload',
    action: 's3:AbortMultipartUpload',
    resource: objectUrl(place),
  };
  const command = new AbortMultipartUploadCommand(uploadInput(place));
  await askUnless(['NoSuchUpload'], call, () => s3.send(command, { abortSignal: signal }));
}

export function uploadInput({ bucket, key, uploadId }: UploadPlace): {
  Bucket: string;
  Key: string;
  UploadId: string;
} {
  return { Bucket: bucket, Key: key, UploadId: uploadId };
}

function nextUploads(page: ListMultipartUploadsCommandOutput): {
  KeyMarker?: string;
  UploadIdMarker?: string;
} {
  if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return {};
  return {
    KeyMarker: page.NextKeyMarker,
    ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
  };
}
