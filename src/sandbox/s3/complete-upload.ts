/**
 * CompleteMultipartUpload: everything the client says of the parts and of the whole is checked before the object appears.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { z } from 'zod';
import type { HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { answerXml, checksumMembers, quoteEtag, withHeaders } from './answers.ts';
import { writeEncryption } from './attributes.ts';
import { receiveDocument } from './body.ts';
import {
  CHECKSUM_ALGORITHMS,
  type Checksum,
  checksumElement,
  checksumHeader,
  composeChecksum,
  startChecksum,
} from './checksum.ts';
import { checkWriteCondition } from './conditions.ts';
import { checksumMismatch, findUpload } from './multipart-actions.ts';
import { badDigest, invalidRequest } from './refusals.ts';
import type { S3Request } from './request.ts';
import { objectLock, type S3State, uploadLock } from './state.ts';
import type { HeldPart, Upload } from './upload-store.ts';
import { readXml } from './xml-document.ts';

const MIN_PART_BYTES = 5 * 1024 ** 2;
const MAX_PARTS = 10_000;
const COPY_BUFFER_BYTES = 4 * 1024 ** 2;

const PART = z.strictObject({
  PartNumber: z
    .string()
    .regex(/^[1-9]\d{0,4}$/)
    .transform(Number),
  ETag: z.string().transform((etag) => etag.replaceAll('"', '')),
  ChecksumCRC32: z.string().optional(),
  ChecksumCRC32C: z.string().optional(),
  ChecksumCRC64NVME: z.string().optional(),
  ChecksumSHA1: z.string().optional(),
  ChecksumSHA256: z.string().optional(),
});
const DOCUMENT = z.strictObject({ Part: z.array(PART).min(1).max(MAX_PARTS) });

type NamedPart = z.output<typeof PART>;

export async function completeMultipartUpload(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { id } = findUpload(state, request);
  const text = await receiveDocument(withoutWholeChecksum(request));
  const named = readXml({ text, root: 'CompleteMultipartUpload', lists: ['Part'], schema: DOCUMENT }).Part;
  return state.locks(uploadLock(id), () => complete({ state, request, named }));
}

async function complete({
  state,
  request,
  named,
}: {
  state: S3State;
  request: S3Request;
  named: readonly NamedPart[];
}): Promise<HttpAnswer> {
  const { bucket, key } = request;
  const upload = findUpload(state, request);
  checkMode(upload, request);
  const parts = matchParts({ upload, held: state.uploads.parts(upload.id), named });
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  checkSize(request, bytes);
  await using file = await state.spool.create();
  const fullChecksum = await joinParts({ state, upload, parts, write: file.write });
  await file.close();
  const checksum = wholeChecksum({ upload, parts, fullChecksum });
  checkWhole(request, checksum);
  const etag = composeEtag(parts);
  const held = await state.locks(objectLock(bucket, key), async () => {
    checkWriteCondition(request.http, state.objects.find(bucket, key), key);
    const { attributes } = upload;
    const modifiedAt = state.now();
    const object = { bucket, key, bytes, etag, modifiedAt, attributes, checksum, uploadId: upload.id };
    return state.objects.put(object, file.path);
  });
  await state.uploads.remove(upload.id);
  const result = {
    Location: `http://${request.http.headers.host}/${bucket}/${encodeURIComponent(key)}`,
    Bucket: bucket,
    Key: key,
    ETag: quoteEtag(etag),
    ...checksumMembers(held.checksum),
  };
  const answer = answerXml('CompleteMultipartUploadResult', result);
  return withHeaders(answer, writeEncryption(upload.attributes));
}

/** Here the header speaks of the object, not of the request's own body. */
function withoutWholeChecksum(request: S3Request): S3Request {
  const headers = { ...request.http.headers };
  for (const algorithm of CHECKSUM_ALGORITHMS) delete headers[checksumHeader(algorithm)];
  return { ...request, http: { ...request.http, headers } };
}

function checkMode({ checksum }: Upload, { http }: S3Request): void {
  const type = http.headers['x-amz-checksum-type'];
  if (type !== undefined && type !== checksum?.type) {
    const mode = checksum?.type ?? 'null';
    throw invalidRequest(
      `The upload was created using the ${mode} checksum mode. The complete request must use the same checksum mode.`,
    );
  }
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const isGiven = http.headers[checksumHeader(algorithm)] !== undefined;
    if (isGiven && algorithm !== checksum?.algorithm) throw checksumMismatch(checksum?.algorithm, algorithm);
  }
}

function matchParts({
  upload,
  held,
  named,
}: {
  upload: Upload;
  held: readonly HeldPart[];
  named: readonly NamedPart[];
}): readonly HeldPart[] {
  const byNumber = new Map(held.map((part) => [part.number, part]));
  checkOrder(named);
  const parts = named.map((part) => matchPart({ upload, part, held: byNumber.get(part.PartNumber) }));
  const small = parts.slice(0, -1).find(({ bytes }) => bytes < MIN_PART_BYTES);
  if (small === undefined) return parts;
  throw new Refusal({
    status: 400,
    code: 'EntityTooSmall',
    message: 'Your proposed upload is smaller than the minimum allowed size',
    fields: {
      ETag: small.etag,
      PartNumber: String(small.number),
      ProposedSize: String(small.bytes),
      MinSizeAllowed: String(MIN_PART_BYTES),
    },
  });
}

function checkOrder(named: readonly NamedPart[]): void {
  const isAscending = named.every(
    (part, index) => index === 0 || part.PartNumber > (named[index - 1]?.PartNumber ?? 0),
  );
  if (isAscending) return;
  const message =
    'The list of parts was not in ascending order. The parts list must be specified in order by part number.';
  throw new Refusal({ status: 400, code: 'InvalidPartOrder', message });
}

function matchPart({
  upload,
  part,
  held,
}: {
  upload: Upload;
  part: NamedPart;
  held: HeldPart | undefined;
}): HeldPart {
  const { checksum } = upload;
  const given = Object.entries(part).filter(([name]) => name.startsWith('Checksum'));
  const other = given.find(([name]) => checksum === null || name !== checksumElement(checksum.algorithm));
  if (other !== undefined) throw checksumMismatch(checksum?.algorithm, other[0].replace('Checksum', ''));
  const [, value] = given[0] ?? [];
  if (value === undefined && checksum?.type === 'COMPOSITE') {
    throw invalidRequest(
      `The upload was created using a ${checksum.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.PartNumber} in the request.`,
    );
  }
  const isSame = held?.etag === part.ETag && (value === undefined || value === held.checksum);
  if (held !== undefined && isSame) return held;
  throw new Refusal({
    status: 400,
    code: 'InvalidPart',
    message:
      "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    fields: { UploadId: upload.id, PartNumber: String(part.PartNumber), ETag: part.ETag },
  });
}

function checkSize({ http }: S3Request, bytes: number): void {
  const claimed = http.headers['x-amz-mp-object-size'];
  if (claimed === undefined || claimed === String(bytes)) return;
  throw invalidRequest(
    `The provided 'x-amz-mp-object-size' header value ${String(claimed)} does not match what was computed: ${bytes}`,
  );
}

/**
 * Copies the parts into one file, a buffer at a time, and computes the checksum of the whole over its very bytes:
 * a client's arithmetic on the parts' checksums is held against what was stored.
 */
async function joinParts({
  state,
  upload,
  parts,
  write,
}: {
  state: S3State;
  upload: Upload;
  parts: readonly HeldPart[];
  write: (chunk: Uint8Array) => Promise<void>;
}): Promise<string | null> {
  const isFull = upload.checksum?.type === 'FULL_OBJECT';
  const whole = isFull ? startChecksum(upload.checksum?.algorithm ?? 'CRC32') : null;
  for (const part of parts) {
    const path = state.uploads.pathOf(upload.id, part);
    const signal = state.stopping;
    for await (const chunk of createReadStream(path, { highWaterMark: COPY_BUFFER_BYTES, signal })) {
      whole?.update(chunk);
      await write(chunk);
    }
  }
  return whole?.digest() ?? null;
}

function wholeChecksum({
  upload,
  parts,
  fullChecksum,
}: {
  upload: Upload;
  parts: readonly HeldPart[];
  fullChecksum: string | null;
}): Checksum | null {
  if (upload.checksum === null) return null;
  const { algorithm, type } = upload.checksum;
  if (fullChecksum !== null) return { algorithm, type, value: fullChecksum };
  const value = composeChecksum(
    algorithm,
    parts.map(({ checksum }) => checksum ?? ''),
  );
  return { algorithm, type, value };
}

function checkWhole({ http }: S3Request, checksum: Checksum | null): void {
  if (checksum === null) return;
  const { algorithm, value } = checksum;
  const claimed = http.headers[checksumHeader(algorithm)];
  // A composite value may come without the part count behind it.
  if (claimed === undefined || claimed === value || claimed === value.replace(/-\d+$/, '')) return;
  throw badDigest(`The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`);
}

function composeEtag(parts: readonly HeldPart[]): string {
  const hash = createHash('md5');
  for (const { etag } of parts) hash.update(Buffer.from(etag, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}
