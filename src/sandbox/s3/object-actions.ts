/** What S3 does with objects. */
import { z } from 'zod';
import type { HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { answerEmpty, answerXml, checksumHeaders, quoteEtag } from './answers.ts';
import { checkTags, readAttributes, writeAttributes, writeEncryption } from './attributes.ts';
import { readClaims, receiveBody, receiveDocument } from './body.ts';
import { checkWriteCondition, isWanted } from './conditions.ts';
import type { HeldObject } from './object-store.ts';
import { invalidRequest, noSuchKey } from './refusals.ts';
import type { S3Request } from './request.ts';
import { objectLock, type S3State } from './state.ts';
import { readXml } from './xml-document.ts';

const MAX_KEY_BYTES = 1024;
const MAX_DELETES = 1000;

const DELETE = z.strictObject({
  Quiet: z.enum(['true', 'false']).optional(),
  Object: z
    .array(z.strictObject({ Key: z.string().min(1) }))
    .min(1)
    .max(MAX_DELETES),
});
const TAGGING = z.strictObject({
  TagSet: z.union([
    z.strictObject({ Tag: z.array(z.strictObject({ Key: z.string(), Value: z.string() })) }),
    z.literal(''),
  ]),
});

export async function putObject(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { http, bucket, key } = request;
  checkKey(key);
  const attributes = readAttributes(http.headers);
  const claims = readClaims(request);
  await using file = await state.spool.create();
  const { bytes, md5, checksum } = await receiveBody({ request, claims, sink: file.write });
  await file.close();
  const held = await state.locks(objectLock(bucket, key), async () => {
    checkWriteCondition(http, state.objects.find(bucket, key), key);
    const full = checksum === null ? null : { ...checksum, type: 'FULL_OBJECT' as const };
    const modifiedAt = state.now();
    const object = { bucket, key, bytes, etag: md5, modifiedAt, attributes, checksum: full, uploadId: null };
    return state.objects.put(object, file.path);
  });
  return answerEmpty(200, {
    etag: quoteEtag(held.etag),
    ...checksumHeaders(held.checksum),
    ...writeEncryption(held.attributes),
  });
}

export function getObject(state: S3State, request: S3Request): HttpAnswer {
  const object = findObject(state, request);
  if (!isWanted(request.http, object)) return answerEmpty(304, { etag: quoteEtag(object.etag) });
  const extent = readRange(request, object.bytes);
  const body = { kind: 'file', path: state.objects.pathOf(object) } as const;
  if (extent === null) {
    const headers = describeObject(request, object);
    return { status: 200, headers, body: { ...body, offsetBytes: 0, lengthBytes: object.bytes } };
  }
  const { offsetBytes, lengthBytes } = extent;
  const range = `bytes ${offsetBytes}-${offsetBytes + lengthBytes - 1}/${object.bytes}`;
  const headers = { ...describeObject(request, { ...object, checksum: null }), 'content-range': range };
  return { status: 206, headers, body: { ...body, offsetBytes, lengthBytes } };
}

export function headObject(state: S3State, request: S3Request): HttpAnswer {
  const object = findObject(state, request);
  if (!isWanted(request.http, object)) return answerEmpty(304, { etag: quoteEtag(object.etag) });
  const headers = describeObject(request, object);
  return { status: 200, headers, body: { kind: 'omitted', lengthBytes: object.bytes } };
}

/** Removing what is not there is no error. */
export async function deleteObject(state: S3State, { bucket, key }: S3Request): Promise<HttpAnswer> {
  await remove(state, bucket, key);
  return answerEmpty(204);
}

export async function deleteObjects(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { md5, checksum } = readClaims(request);
  if (md5 === null && checksum === null) {
    throw invalidRequest('Missing required header for this request: Content-MD5');
  }
  const text = await receiveDocument(request);
  const document = readXml({ text, root: 'Delete', lists: ['Object'], schema: DELETE });
  for (const { Key } of document.Object) await remove(state, request.bucket, Key);
  const Deleted = document.Quiet === 'true' ? [] : document.Object;
  return answerXml('DeleteResult', { Deleted });
}

export async function putObjectTagging(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const text = await receiveDocument(request);
  const { TagSet } = readXml({ text, root: 'Tagging', lists: ['Tag'], schema: TAGGING });
  const tags = checkTags(TagSet === '' ? [] : TagSet.Tag);
  await changeTags(state, request, tags);
  return answerEmpty(200);
}

export function getObjectTagging(state: S3State, request: S3Request): HttpAnswer {
  const { attributes } = findObject(state, request);
  return answerXml('Tagging', { TagSet: { Tag: attributes.tags } });
}

export async function deleteObjectTagging(state: S3State, request: S3Request): Promise<HttpAnswer> {
  await changeTags(state, request, []);
  return answerEmpty(204);
}

export function checkKey(key: string): void {
  const bytes = Buffer.byteLength(key);
  if (bytes <= MAX_KEY_BYTES) return;
  const fields = { Size: String(bytes), MaxSizeAllowed: String(MAX_KEY_BYTES) };
  throw new Refusal({ status: 400, code: 'KeyTooLongError', message: 'Your key is too long', fields });
}

function findObject({ objects }: S3State, { bucket, key }: S3Request): HeldObject {
  const object = objects.find(bucket, key);
  if (object === null) throw noSuchKey(key);
  return object;
}

async function remove(state: S3State, bucket: string, key: string): Promise<void> {
  await state.locks(objectLock(bucket, key), () => state.objects.remove(bucket, key));
}

async function changeTags(
  state: S3State,
  request: S3Request,
  tags: HeldObject['attributes']['tags'],
): Promise<void> {
  await state.locks(objectLock(request.bucket, request.key), async () => {
    const object = findObject(state, request);
    await state.objects.describe({ ...object, attributes: { ...object.attributes, tags } });
  });
}

function describeObject({ http }: S3Request, object: HeldObject): Record<string, string> {
  const isChecksumAsked = http.headers['x-amz-checksum-mode'] === 'ENABLED';
  return {
    ...writeAttributes(object.attributes),
    etag: quoteEtag(object.etag),
    'last-modified': new Date(object.modifiedAt).toUTCString(),
    'accept-ranges': 'bytes',
    ...(isChecksumAsked ? checksumHeaders(object.checksum) : {}),
  };
}

/** null: the whole. As S3 does, more than one range and what is no range at all give the whole. */
function readRange({ http }: S3Request, bytes: number): { offsetBytes: number; lengthBytes: number } | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(http.headers.range ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return null;
  if (first !== '' && last !== '' && Number(first) > Number(last)) return null;
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (start > end) {
    const message = 'The requested range is not satisfiable';
    const fields = { RangeRequested: http.headers.range ?? '', ActualObjectSize: String(bytes) };
    throw new Refusal({ status: 416, code: 'InvalidRange', message, fields });
  }
  return { offsetBytes: start, lengthBytes: end - start + 1 };
}
