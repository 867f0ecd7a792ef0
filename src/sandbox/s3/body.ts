/**
 * The body of a request: unwrapped from `aws-chunked`, and held against everything the client said of it (length,
 * payload hash, Content-MD5, checksum in a header or a trailer) before anyone may believe it.
 */
import { createHash } from 'node:crypto';
import { decodeChunks } from '../aws-chunked.ts';
import { collectBody, type HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { type ChecksumAlgorithm, isChecksumValue, readAlgorithm, startChecksum } from './checksum.ts';
import { badDigest, entityTooLarge, invalidRequest, notImplemented } from './refusals.ts';
import type { S3Request } from './request.ts';

export type ReceivedBody = {
  bytes: number;
  /** Hexadecimal. */
  md5: string;
  /** The one that the client declared; null where it declared none. */
  checksum: { algorithm: ChecksumAlgorithm; value: string } | null;
};

/** What the client says of the body. */
export type BodyClaims = {
  bytes: number;
  /** Base64. */
  md5: string | null;
  /** `value` is null where it comes in the trailer. */
  checksum: { algorithm: ChecksumAlgorithm; header: string; value: string | null } | null;
  payload: PayloadKind;
};

type PayloadKind =
  | { kind: 'unsigned' }
  | { kind: 'hashed'; sha256: string }
  | { kind: 'chunked'; isSigned: boolean; hasTrailer: boolean };

/** The largest body of PutObject and UploadPart. */
export const MAX_BODY_BYTES = 5 * 1024 ** 3;
const MAX_DOCUMENT_BYTES = 4 * 1024 ** 2;
const CHECKSUM_PREFIX = 'x-amz-checksum-';
/** Named like checksums, but they say something of the whole upload. */
const NOT_CHECKSUMS = ['x-amz-checksum-type', 'x-amz-checksum-algorithm', 'x-amz-checksum-mode'];

/** Throws a Refusal where the headers contradict themselves. Reads nothing. */
export function readClaims({ http }: S3Request): BodyClaims {
  const payload = readPayloadKind(http);
  const length = payload.kind === 'chunked' ? 'x-amz-decoded-content-length' : 'content-length';
  const bytes = readLength(http.headers[length]);
  if (bytes > MAX_BODY_BYTES) throw entityTooLarge(bytes, MAX_BODY_BYTES);
  return { bytes, md5: readMd5(http), checksum: readChecksumClaim(http, payload), payload };
}

/** Hands the body's bytes to the sink, and resolves once all claims were found true. */
export async function receiveBody({
  request,
  claims,
  sink,
}: {
  request: S3Request;
  claims: BodyClaims;
  sink: (chunk: Uint8Array) => Promise<void> | void;
}): Promise<ReceivedBody> {
  const md5 = createHash('md5');
  const sha256 = claims.payload.kind === 'hashed' ? createHash('sha256') : null;
  const checksum = claims.checksum === null ? null : startChecksum(claims.checksum.algorithm);
  const { data, trailers } = unwrap(request, claims.payload);
  let bytes = 0;
  for await (const chunk of data) {
    bytes += chunk.length;
    if (bytes > claims.bytes) throw incompleteBody();
    md5.update(chunk);
    sha256?.update(chunk);
    checksum?.update(chunk);
    await sink(chunk);
  }
  if (bytes !== claims.bytes) throw incompleteBody();
  const received = { bytes, md5: md5.digest('hex') };
  checkMd5(claims, received.md5);
  checkPayload(claims, sha256?.digest('hex') ?? null);
  const value = checksum?.digest() ?? null;
  if (claims.checksum === null || value === null) return { ...received, checksum: null };
  const { algorithm } = claims.checksum;
  const claimed = claimedValue(claims.checksum, trailers);
  checkChecksum({ algorithm, computed: value, claimed });
  return { ...received, checksum: { algorithm, value } };
}

/** Reads a small XML document with all checks. */
export async function receiveDocument(request: S3Request): Promise<string> {
  const claims = readClaims(request);
  if (claims.bytes > MAX_DOCUMENT_BYTES) {
    const message = 'Your request was too big.';
    throw new Refusal({ status: 400, code: 'MaxMessageLengthExceeded', message });
  }
  const chunks: Uint8Array[] = [];
  await receiveBody({ request, claims, sink: (chunk) => void chunks.push(chunk) });
  return Buffer.concat(chunks).toString('utf8');
}

/** For actions that take no body, or an optional one: an absent length is an empty document. */
export async function receiveOptionalDocument(request: S3Request): Promise<string> {
  const { headers } = request.http;
  if (headers['content-length'] !== undefined || headers['x-amz-decoded-content-length'] !== undefined) {
    return receiveDocument(request);
  }
  return (await collectBody(request.http.body, MAX_DOCUMENT_BYTES)).toString('utf8');
}

function readPayloadKind({ headers }: HttpRequest): PayloadKind {
  const value = headers['x-amz-content-sha256'];
  switch (value) {
    case undefined:
    case 'UNSIGNED-PAYLOAD':
      return { kind: 'unsigned' };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { kind: 'chunked', isSigned: false, hasTrailer: true };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { kind: 'chunked', isSigned: true, hasTrailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { kind: 'chunked', isSigned: true, hasTrailer: true };
    default:
      if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return { kind: 'hashed', sha256: value };
      throw invalidRequest(
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
      );
  }
}

function readLength(value: string | string[] | undefined): number {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value);
  const message = 'You must provide the Content-Length HTTP header.';
  throw new Refusal({ status: 411, code: 'MissingContentLength', message });
}

function readMd5({ headers }: HttpRequest): string | null {
  const value = headers['content-md5'];
  if (value === undefined) return null;
  if (typeof value === 'string' && Buffer.from(value, 'base64').length === 16) return value;
  const message = 'The Content-MD5 you specified was invalid.';
  throw new Refusal({ status: 400, code: 'InvalidDigest', message });
}

function readChecksumClaim(http: HttpRequest, payload: PayloadKind): BodyClaims['checksum'] {
  const { headers } = http;
  const isChecksum = (name: string) => name.startsWith(CHECKSUM_PREFIX) && !NOT_CHECKSUMS.includes(name);
  const given = Object.keys(headers).filter(isChecksum);
  const trailer = headers['x-amz-trailer'];
  const trailing = typeof trailer === 'string' ? trailer.split(',').map((name) => name.trim()) : [];
  const [header, ...more] = [...given, ...trailing];
  if (more.length > 0) {
    throw invalidRequest(
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  if (header === undefined) return refuseMissing(http, payload);
  if (!isChecksum(header)) throw notImplemented({ Header: header });
  const algorithm = readAlgorithm(header.slice(CHECKSUM_PREFIX.length));
  if (trailing.length > 0) {
    if (payload.kind !== 'chunked' || !payload.hasTrailer) throw notImplemented({ Header: 'x-amz-trailer' });
    return { algorithm, header, value: null };
  }
  return { algorithm, header, value: readChecksumValue({ algorithm, header, value: headers[header] }) };
}

function refuseMissing({ headers }: HttpRequest, payload: PayloadKind): null {
  if (headers['x-amz-sdk-checksum-algorithm'] !== undefined) {
    throw invalidRequest(
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    );
  }
  if (payload.kind === 'chunked' && payload.hasTrailer) {
    throw invalidRequest('The x-amz-trailer header is missing.');
  }
  return null;
}

function readChecksumValue({
  algorithm,
  header,
  value,
}: {
  algorithm: ChecksumAlgorithm;
  header: string;
  value: string | string[] | undefined;
}): string {
  if (typeof value === 'string' && isChecksumValue(algorithm, value)) return value;
  throw invalidRequest(`Value for ${header} header is invalid.`);
}

function unwrap({ http, signing }: S3Request, payload: PayloadKind) {
  if (payload.kind !== 'chunked') return { data: http.body, trailers: new Map<string, string>() };
  if (payload.isSigned && signing === null) {
    throw invalidRequest('A presigned URL cannot carry signed chunks.');
  }
  const { isSigned, hasTrailer } = payload;
  return decodeChunks({ body: http.body, signing: isSigned ? signing : null, hasTrailer });
}

function checkMd5({ md5 }: BodyClaims, computedHex: string): void {
  if (md5 === null || Buffer.from(md5, 'base64').toString('hex') === computedHex) return;
  throw badDigest('The Content-MD5 you specified did not match what we received.');
}

function checkPayload({ payload }: BodyClaims, computedHex: string | null): void {
  if (payload.kind !== 'hashed' || payload.sha256 === computedHex) return;
  const message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
  const fields = {
    ClientComputedContentSHA256: payload.sha256,
    S3ComputedContentSHA256: computedHex ?? '',
  };
  throw new Refusal({ status: 400, code: 'XAmzContentSHA256Mismatch', message, fields });
}

function claimedValue(
  { algorithm, header, value }: NonNullable<BodyClaims['checksum']>,
  trailers: ReadonlyMap<string, string>,
): string {
  if (value !== null) return value;
  const trailing = trailers.get(header);
  if (trailing !== undefined && trailers.size === 1) {
    return readChecksumValue({ algorithm, header, value: trailing });
  }
  const message =
    'The request contained trailing data that was not well-formed or did not conform to our published schema.';
  throw new Refusal({ status: 400, code: 'MalformedTrailerError', message });
}

function checkChecksum({
  algorithm,
  computed,
  claimed,
}: {
  algorithm: ChecksumAlgorithm;
  computed: string;
  claimed: string;
}): void {
  if (computed === claimed) return;
  throw badDigest(`The ${algorithm} you specified did not match the calculated checksum.`);
}

function incompleteBody(): Refusal {
  const message = 'You did not provide the number of bytes specified by the Content-Length HTTP header';
  return new Refusal({ status: 400, code: 'IncompleteBody', message });
}
