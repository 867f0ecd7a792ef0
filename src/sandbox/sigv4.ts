/**
 * Signature Version 4 as the server sees it: what a request says about its signature, and whether it is true.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { HttpRequest } from './http.ts';

export type Scope = { date: string; region: string; service: string };

export type Signature = {
  /** In the Authorization header, or in the query of a presigned URL. */
  place: 'header' | 'query';
  accessKeyId: string;
  scope: Scope;
  signedHeaders: readonly string[];
  /** Lower-case hexadecimal. */
  value: string;
  /** As sent: 20251122T180000Z. */
  time: string;
  /** Of a presigned URL. */
  expiresSeconds: number | null;
};

export type SignatureReading =
  | { kind: 'signed'; signature: Signature }
  | { kind: 'absent' }
  | { kind: 'malformed' };

export const ALGORITHM = 'AWS4-HMAC-SHA256';
export const EMPTY_SHA256 = createHash('sha256').digest('hex');

export function readSignature({ headers, query }: Pick<HttpRequest, 'headers' | 'query'>): SignatureReading {
  if (headers.authorization !== undefined) return readHeader(headers.authorization, headers['x-amz-date']);
  return query.has('X-Amz-Signature') ? readQuery(query) : { kind: 'absent' };
}

/** Whether the signature is that of this request under this secret. */
export function isSignedWith({
  request,
  signature,
  payloadHash,
  secretAccessKey,
}: {
  request: HttpRequest;
  signature: Signature;
  /** Hexadecimal SHA-256 of the body, or what x-amz-content-sha256 says in its place. */
  payloadHash: string;
  secretAccessKey: string;
}): boolean {
  const canonical = [
    request.method,
    canonicalPath(request.rawPath),
    canonicalQuery(request.query),
    ...signature.signedHeaders.map((name) => `${name}:${canonicalHeader(request, name)}`),
    '',
    signature.signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
  const text = [ALGORITHM, signature.time, scopeText(signature.scope), sha256(canonical)].join('\n');
  return isSame(signText(signingKey(signature.scope, secretAccessKey), text), signature.value);
}

/** Good for a day and a service: four rounds of HMAC that no two requests in a row need twice. */
const signingKeys = new Map<string, Buffer>();
const MAX_SIGNING_KEYS = 16;

export function signingKey(scope: Scope, secretAccessKey: string): Buffer {
  const name = `${scopeText(scope)} ${secretAccessKey}`;
  const known = signingKeys.get(name);
  if (known !== undefined) return known;
  const { date, region, service } = scope;
  const start: Buffer = Buffer.from(`AWS4${secretAccessKey}`);
  const made = [date, region, service, 'aws4_request'].reduce((key, step) => hmac(key, step), start);
  if (signingKeys.size >= MAX_SIGNING_KEYS) signingKeys.clear();
  signingKeys.set(name, made);
  return made;
}

export function signText(key: Buffer, text: string): string {
  return hmac(key, text).toString('hex');
}

export function scopeText({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`;
}

/** Compares in constant time. */
export function isSame(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Milliseconds since the epoch; NaN where it is no time. */
export function parseTime(time: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = match;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function readHeader(header: string, time: string | string[] | undefined): SignatureReading {
  const match = /^AWS4-HMAC-SHA256\s+(.+)$/.exec(header);
  const fields = new Map(
    (match?.[1] ?? '').split(/\s*,\s*/).map((field): [string, string] => {
      const at = field.indexOf('=');
      return [field.slice(0, at), field.slice(at + 1)];
    }),
  );
  return assemble({
    place: 'header',
    credential: fields.get('Credential'),
    signedHeaders: fields.get('SignedHeaders'),
    value: fields.get('Signature'),
    time: typeof time === 'string' ? time : undefined,
    expires: null,
  });
}

function readQuery(query: URLSearchParams): SignatureReading {
  if (query.get('X-Amz-Algorithm') !== ALGORITHM) return { kind: 'malformed' };
  return assemble({
    place: 'query',
    credential: query.get('X-Amz-Credential') ?? undefined,
    signedHeaders: query.get('X-Amz-SignedHeaders') ?? undefined,
    value: query.get('X-Amz-Signature') ?? undefined,
    time: query.get('X-Amz-Date') ?? undefined,
    expires: query.get('X-Amz-Expires') ?? '',
  });
}

type Pieces = {
  place: Signature['place'];
  credential: string | undefined;
  signedHeaders: string | undefined;
  value: string | undefined;
  time: string | undefined;
  expires: string | null;
};

function assemble({ place, credential, signedHeaders, value, time, expires }: Pieces): SignatureReading {
  const [accessKeyId, date, region, service, end, extra] = (credential ?? '').split('/');
  if (!accessKeyId || !date || !region || !service || end !== 'aws4_request' || extra !== undefined) {
    return { kind: 'malformed' };
  }
  if (!signedHeaders || !/^[0-9a-f]{64}$/.test(value ?? '') || Number.isNaN(parseTime(time ?? ''))) {
    return { kind: 'malformed' };
  }
  if (!time?.startsWith(date) || (expires !== null && !/^\d{1,6}$/.test(expires)))
    return { kind: 'malformed' };
  const signature: Signature = {
    place,
    accessKeyId,
    scope: { date, region, service },
    signedHeaders: signedHeaders.split(';'),
    value: value ?? '',
    time,
    expiresSeconds: expires === null ? null : Number(expires),
  };
  return { kind: 'signed', signature };
}

/** Every byte but the unreserved ones is percent-encoded; clients differ in which they encode on the wire. */
function canonicalPath(rawPath: string): string {
  return rawPath
    .split('/')
    .map((segment) => encode(decodeURIComponent(segment)))
    .join('/');
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): [string, string] => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => (a === b ? compareText(x, y) : compareText(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function compareText(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function canonicalHeader({ headers }: HttpRequest, name: string): string {
  const value = headers[name];
  const text = Array.isArray(value) ? value.join(',') : (value ?? '');
  return text.trim().replace(/\s+/g, ' ');
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
