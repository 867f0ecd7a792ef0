/** What a client says about an object beside its bytes: headers to give back, metadata, tags, class, encryption. */
import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from '../refusal.ts';
import { invalidArgument, notImplemented } from './refusals.ts';

export type Tag = { Key: string; Value: string };

export type ObjectAttributes = {
  /** Given back as they came: content-type and its kin. */
  headers: Readonly<Record<string, string>>;
  /** Without the prefix `x-amz-meta-`. */
  metadata: Readonly<Record<string, string>>;
  tags: readonly Tag[];
  storageClass: string;
  encryption: { algorithm: string; keyId: string | null };
};

/** Headers that give an object's attributes, beside `x-amz-meta-*`. */
export const ATTRIBUTE_HEADERS = [
  'x-amz-tagging',
  'x-amz-storage-class',
  'x-amz-acl',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-bucket-key-enabled',
];

const PLAIN_HEADERS = ['cache-control', 'content-disposition', 'content-language', 'content-type', 'expires'];
const STORAGE_CLASSES = ['STANDARD', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER_IR'];
const PRIVATE_ACLS = ['private', 'bucket-owner-full-control', 'bucket-owner-read'];
const META_PREFIX = 'x-amz-meta-';
const MAX_TAGS = 10;

export function readAttributes(headers: IncomingHttpHeaders): ObjectAttributes {
  const acl = headers['x-amz-acl'];
  // Buckets are made without ACLs since 2023: only those that change nothing are taken.
  if (typeof acl === 'string' && !PRIVATE_ACLS.includes(acl)) {
    const message = 'The bucket does not allow ACLs';
    throw new Refusal({ status: 400, code: 'AccessControlListNotSupported', message });
  }
  return {
    headers: readPlainHeaders(headers),
    metadata: readMetadata(headers),
    tags: readTagHeader(textOf(headers, 'x-amz-tagging')),
    storageClass: readStorageClass(textOf(headers, 'x-amz-storage-class')),
    encryption: readEncryption(headers),
  };
}

/** Response headers of GetObject and HeadObject. */
export function writeAttributes(attributes: ObjectAttributes): Record<string, string> {
  const { headers, metadata, tags, storageClass } = attributes;
  return {
    'content-type': 'binary/octet-stream',
    ...headers,
    ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`${META_PREFIX}${name}`, value])),
    ...(tags.length === 0 ? {} : { 'x-amz-tagging-count': String(tags.length) }),
    ...(storageClass === 'STANDARD' ? {} : { 'x-amz-storage-class': storageClass }),
    ...writeEncryption(attributes),
  };
}

export function writeEncryption({ encryption }: ObjectAttributes): Record<string, string> {
  const { algorithm, keyId } = encryption;
  return {
    'x-amz-server-side-encryption': algorithm,
    ...(keyId === null ? {} : { 'x-amz-server-side-encryption-aws-kms-key-id': keyId }),
  };
}

/** Throws InvalidTag or BadRequest by S3's limits. */
export function checkTags(tags: readonly Tag[]): readonly Tag[] {
  if (tags.length > MAX_TAGS) {
    const message = `Object tags cannot be greater than ${MAX_TAGS}`;
    throw new Refusal({ status: 400, code: 'BadRequest', message });
  }
  const names = new Set<string>();
  for (const { Key, Value } of tags) {
    if (names.has(Key)) throw invalidTag('Cannot provide multiple Tags with the same key', Key);
    names.add(Key);
    if (!isTagText(Key, 128) || Key === '') throw invalidTag('The TagKey you have provided is invalid', Key);
    if (!isTagText(Value, 256)) throw invalidTag('The TagValue you have provided is invalid', Key);
  }
  return tags;
}

function isTagText(text: string, maxLength: number): boolean {
  return text.length <= maxLength && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(text) && !/^aws:/i.test(text);
}

function invalidTag(message: string, key: string): Refusal {
  return new Refusal({ status: 400, code: 'InvalidTag', message, fields: { TagKey: key } });
}

function readPlainHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const entries = PLAIN_HEADERS.flatMap((name): [string, string][] => {
    const value = textOf(headers, name);
    return value === null ? [] : [[name, value]];
  });
  // `aws-chunked` is how the body travelled, not what it is.
  const encodings = (textOf(headers, 'content-encoding') ?? '').split(',').map((encoding) => encoding.trim());
  const kept = encodings.filter((encoding) => encoding !== '' && encoding !== 'aws-chunked');
  return {
    ...Object.fromEntries(entries),
    ...(kept.length === 0 ? {} : { 'content-encoding': kept.join(',') }),
  };
}

function readMetadata(headers: IncomingHttpHeaders): Record<string, string> {
  const entries = Object.entries(headers).filter(([name]) => name.startsWith(META_PREFIX));
  const metadata = entries.map(([name, value]): [string, string] => [
    name.slice(META_PREFIX.length),
    String(value),
  ]);
  const bytes = metadata.reduce((sum, [name, value]) => sum + Buffer.byteLength(name + value), 0);
  if (bytes > 2048) {
    const message = 'Your metadata headers exceed the maximum allowed metadata size';
    throw new Refusal({ status: 400, code: 'MetadataTooLarge', message });
  }
  return Object.fromEntries(metadata);
}

function readTagHeader(header: string | null): readonly Tag[] {
  if (header === null) return [];
  return checkTags([...new URLSearchParams(header)].map(([Key, Value]) => ({ Key, Value })));
}

function readStorageClass(value: string | null): string {
  if (value === null) return 'STANDARD';
  if (STORAGE_CLASSES.includes(value)) return value;
  const message = 'The storage class you specified is not valid';
  throw new Refusal({ status: 400, code: 'InvalidStorageClass', message });
}

function readEncryption(headers: IncomingHttpHeaders): ObjectAttributes['encryption'] {
  const algorithm = textOf(headers, 'x-amz-server-side-encryption') ?? 'AES256';
  const keyId = textOf(headers, 'x-amz-server-side-encryption-aws-kms-key-id');
  if (algorithm === 'AES256' && keyId === null) return { algorithm, keyId };
  if (algorithm === 'aws:kms') return { algorithm, keyId };
  if (algorithm === 'aws:kms:dsse') throw notImplemented({ Header: 'x-amz-server-side-encryption' });
  const message = 'The encryption method specified is not supported';
  throw invalidArgument(message, { name: 'x-amz-server-side-encryption', value: algorithm });
}

function textOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}
