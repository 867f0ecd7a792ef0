/** ListObjectsV2. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
import type { HttpAnswer } from '../http.ts';
import { answerXml, quoteEtag } from './answers.ts';
import type { HeldObject } from './object-store.ts';
import { compareKeys, readKeyEncoding, readPageSize } from './paging.ts';
import { invalidArgument } from './refusals.ts';
import type { S3Request } from './request.ts';
import { ownerOf, type S3State } from './state.ts';

type Entry = { kind: 'object'; object: HeldObject } | { kind: 'prefix'; prefix: string };

export function listObjectsV2(state: S3State, { http, bucket }: S3Request): HttpAnswer {
  const { query } = http;
  if (query.get('list-type') !== '2') {
    const value = query.get('list-type') ?? '';
    throw invalidArgument('Invalid List Type specified in Request', { name: 'list-type', value });
  }
  const encode = readKeyEncoding(query);
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const pageSize = readPageSize(query, 'max-keys');
  const after = token === null ? (startAfter ?? '') : readToken(token);
  const entries = listEntries(state.objects.list(bucket), { prefix, delimiter, after });
  const page = entries.slice(0, pageSize);
  const last = page.at(-1);
  const isTruncated = entries.length > page.length && last !== undefined;
  return answerXml('ListBucketResult', {
    Name: bucket,
    Prefix: encode(prefix),
    ...(delimiter === '' ? {} : { Delimiter: encode(delimiter) }),
    ...(query.has('encoding-type') ? { EncodingType: 'url' } : {}),
    MaxKeys: pageSize,
    KeyCount: page.length,
    IsTruncated: isTruncated,
    ...(token === null ? {} : { ContinuationToken: token }),
    ...(startAfter === null ? {} : { StartAfter: encode(startAfter) }),
    ...(isTruncated ? { NextContinuationToken: writeToken(nameOf(last)) } : {}),
    Contents: page.flatMap((entry) =>
      entry.kind === 'object'
        ? [describe({ state, object: entry.object, encode, hasOwner: query.get('fetch-owner') === 'true' })]
        : [],
    ),
    CommonPrefixes: page.flatMap((entry) =>
      entry.kind === 'prefix' ? [{ Prefix: encode(entry.prefix) }] : [],
    ),
  });
}

function listEntries(
  objects: readonly HeldObject[],
  { prefix, delimiter, after }: { prefix: string; delimiter: string; after: string },
): Entry[] {
  const entries: Entry[] = [];
  let group = '';
  for (const object of objects) {
    if (!object.key.startsWith(prefix)) continue;
    const end = delimiter === '' ? -1 : object.key.indexOf(delimiter, prefix.length);
    const name = end < 0 ? object.key : object.key.slice(0, end + delimiter.length);
    if (compareKeys(name, after) <= 0 || (end >= 0 && name === group)) continue;
    if (end >= 0) group = name;
    entries.push(end < 0 ? { kind: 'object', object } : { kind: 'prefix', prefix: name });
  }
  return entries;
}

function nameOf(entry: Entry): string {
  return entry.kind === 'object' ? entry.object.key : entry.prefix;
}

function describe({
  state,
  object,
  encode,
  hasOwner,
}: {
  state: S3State;
  object: HeldObject;
  encode: (key: string) => string;
  hasOwner: boolean;
}) {
  const { key, modifiedAt, etag, bytes, checksum, attributes } = object;
  return {
    Key: encode(key),
    LastModified: new Date(modifiedAt),
    ETag: quoteEtag(etag),
    ...(checksum === null ? {} : { ChecksumAlgorithm: checksum.algorithm, ChecksumType: checksum.type }),
    Size: bytes,
    ...(hasOwner ? { Owner: ownerOf(state) } : {}),
    StorageClass: attributes.storageClass,
  };
}

const TOKEN_MARK = 'v1:';

function writeToken(name: string): string {
  return Buffer.from(`${TOKEN_MARK}${name}`).toString('base64url');
}

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (text.startsWith(TOKEN_MARK)) return text.slice(TOKEN_MARK.length);
  throw invalidArgument('The continuation token provided is incorrect', {
    name: 'continuation-token',
    value: token,
  });
}
