/** Multipart uploads up to their completion. https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html */
import { randomBytes } from 'node:crypto';
import type { HttpAnswer } from '../http.ts';
import { answerEmpty, answerXml, quoteEtag, withHeaders } from './answers.ts';
import { readAttributes, writeEncryption } from './attributes.ts';
import { type BodyClaims, readClaims, receiveBody } from './body.ts';
import { checksumElement, checksumHeader, readAlgorithm } from './checksum.ts';
import { checkKey } from './object-actions.ts';
import { compareKeys, readCount, readKeyEncoding, readPageSize } from './paging.ts';
import { invalidArgument, invalidRequest, noSuchUpload } from './refusals.ts';
import type { S3Request } from './request.ts';
import { ownerOf, type S3State, uploadLock } from './state.ts';
import type { HeldPart, Upload } from './upload-store.ts';

const MAX_PART_NUMBER = 10_000;

export async function createMultipartUpload(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { http, bucket, key } = request;
  checkKey(key);
  const checksum = readUploadChecksum(http.headers);
  const attributes = readAttributes(http.headers);
  const id = randomBytes(48).toString('base64url');
  await state.uploads.create({ id, bucket, key, initiatedAt: state.now(), attributes, checksum });
  const headers = {
    ...writeEncryption(attributes),
    ...(checksum === null
      ? {}
      : { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type }),
  };
  const result = { Bucket: bucket, Key: key, UploadId: id };
  return withHeaders(answerXml('InitiateMultipartUploadResult', result), headers);
}

export async function uploadPart(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const number = readPartNumber(request.http.query.get('partNumber') ?? '');
  const upload = findUpload(state, request);
  const claims = readClaims(request);
  checkAlgorithm(upload, claims);
  await using file = await state.spool.create();
  const { bytes, md5, checksum } = await receiveBody({ request, claims, sink: file.write });
  await file.close();
  const kept = upload.checksum === null ? null : (checksum?.value ?? null);
  await state.locks(uploadLock(upload.id), async () => {
    // It may have been completed or aborted while the bytes came in.
    findUpload(state, request);
    const part = { number, bytes, etag: md5, modifiedAt: state.now(), checksum: kept };
    await state.uploads.putPart(upload.id, part, file.path);
  });
  return answerEmpty(200, {
    etag: quoteEtag(md5),
    ...(checksum === null ? {} : { [checksumHeader(checksum.algorithm)]: checksum.value }),
    ...writeEncryption(upload.attributes),
  });
}

export function listParts(state: S3State, request: S3Request): HttpAnswer {
  const { query } = request.http;
  const upload = findUpload(state, request);
  const encode = readKeyEncoding(query);
  const pageSize = readPageSize(query, 'max-parts');
  const marker = readCount(query, 'part-number-marker') ?? 0;
  const rest = state.uploads.parts(upload.id).filter(({ number }) => number > marker);
  const page = rest.slice(0, pageSize);
  const { checksum } = upload;
  return answerXml('ListPartsResult', {
    Bucket: upload.bucket,
    Key: encode(upload.key),
    UploadId: upload.id,
    Initiator: { ID: `arn:aws:iam::${state.account.accountId}:user/landfall`, DisplayName: 'landfall' },
    Owner: ownerOf(state),
    StorageClass: upload.attributes.storageClass,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: pageSize,
    IsTruncated: rest.length > page.length,
    ...(checksum === null ? {} : { ChecksumAlgorithm: checksum.algorithm, ChecksumType: checksum.type }),
    Part: page.map((part) => describePart(upload, part)),
  });
}

export function listMultipartUploads(state: S3State, { http, bucket }: S3Request): HttpAnswer {
  const { query } = http;
  const encode = readKeyEncoding(query);
  const prefix = query.get('prefix') ?? '';
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  const pageSize = readPageSize(query, 'max-uploads');
  const all = [...state.uploads.list(bucket)].sort(byKeyAndTime).filter(({ key }) => key.startsWith(prefix));
  const rest = afterMarkers(all, { keyMarker, idMarker });
  const page = rest.slice(0, pageSize);
  const last = page.at(-1);
  return answerXml('ListMultipartUploadsResult', {
    Bucket: bucket,
    KeyMarker: encode(keyMarker),
    UploadIdMarker: idMarker,
    NextKeyMarker: encode(last?.key ?? ''),
    NextUploadIdMarker: last?.id ?? '',
    Prefix: encode(prefix),
    ...(query.has('encoding-type') ? { EncodingType: 'url' } : {}),
    MaxUploads: pageSize,
    IsTruncated: rest.length > page.length,
    Upload: page.map(({ id, key, initiatedAt, attributes, checksum }) => ({
      Key: encode(key),
      UploadId: id,
      Initiator: { ID: `arn:aws:iam::${state.account.accountId}:user/landfall`, DisplayName: 'landfall' },
      Owner: ownerOf(state),
      StorageClass: attributes.storageClass,
      Initiated: new Date(initiatedAt),
      ...(checksum === null ? {} : { ChecksumAlgorithm: checksum.algorithm, ChecksumType: checksum.type }),
    })),
  });
}

export async function abortMultipartUpload(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { id } = findUpload(state, request);
  await state.locks(uploadLock(id), async () => {
    findUpload(state, request);
    await state.uploads.remove(id);
  });
  return answerEmpty(204);
}

/** Throws NoSuchUpload, also where the id is of another key. */
export function findUpload({ uploads }: S3State, { http, bucket, key }: S3Request): Upload {
  const id = http.query.get('uploadId') ?? '';
  const upload = uploads.find(id);
  if (upload === null || upload.bucket !== bucket || upload.key !== key) throw noSuchUpload(id);
  return upload;
}

export function readPartNumber(text: string): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MAX_PART_NUMBER) return number;
  const message = `Part number must be an integer between 1 and ${MAX_PART_NUMBER}, inclusive`;
  throw invalidArgument(message, { name: 'partNumber', value: text });
}

function readUploadChecksum(headers: S3Request['http']['headers']): Upload['checksum'] {
  const name = headers['x-amz-checksum-algorithm'];
  const type = headers['x-amz-checksum-type'];
  if (typeof name !== 'string') {
    if (type === undefined) return null;
    throw invalidRequest(
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    );
  }
  const algorithm = readAlgorithm(name);
  if (type === undefined || type === 'COMPOSITE') return { algorithm, type: 'COMPOSITE' };
  if (type !== 'FULL_OBJECT') throw invalidRequest('Value for x-amz-checksum-type header is invalid.');
  // Only cyclic redundancy checks can be combined from the parts'.
  if (algorithm === 'CRC32') return { algorithm, type };
  throw invalidRequest(
    `The FULL_OBJECT checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
  );
}

/**
 * Parts carry the upload's own algorithm. An upload without one takes parts with any: the value is checked and not
 * kept, and shows as a mismatch when the upload is completed with it.
 */
function checkAlgorithm({ checksum }: Upload, claims: BodyClaims): void {
  const expected = checksum?.algorithm;
  const actual = claims.checksum?.algorithm;
  if (expected === undefined || expected === actual) return;
  throw checksumMismatch(expected, actual);
}

export function checksumMismatch(expected: string | undefined, actual: string | undefined) {
  const [wanted, given] = [expected, actual].map((algorithm) => algorithm?.toLowerCase() ?? 'null');
  return invalidRequest(
    `Checksum Type mismatch occurred, expected checksum Type: ${wanted}, actual checksum Type: ${given}`,
  );
}

function describePart({ checksum }: Upload, part: HeldPart) {
  return {
    PartNumber: part.number,
    LastModified: new Date(part.modifiedAt),
    ETag: quoteEtag(part.etag),
    Size: part.bytes,
    ...(checksum === null || part.checksum === null
      ? {}
      : { [checksumElement(checksum.algorithm)]: part.checksum }),
  };
}

function byKeyAndTime(left: Upload, right: Upload): number {
  return (
    compareKeys(left.key, right.key) || left.initiatedAt - right.initiatedAt || compareKeys(left.id, right.id)
  );
}

/** Uploads after the key marker; of the marked key itself, those after the marked upload. */
function afterMarkers(
  uploads: readonly Upload[],
  { keyMarker, idMarker }: { keyMarker: string; idMarker: string },
): readonly Upload[] {
  if (keyMarker === '') return uploads;
  const marked = uploads.findIndex(({ id, key }) => key === keyMarker && id === idMarker);
  if (marked >= 0) return uploads.slice(marked + 1);
  return uploads.filter(({ key }) => compareKeys(key, keyMarker) > 0);
}
