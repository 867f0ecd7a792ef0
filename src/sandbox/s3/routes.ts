/** Which action a request means. A query parameter or header that the action does not know is refused, not ignored. */
import type { IncomingHttpHeaders } from 'node:http';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { ATTRIBUTE_HEADERS } from './attributes.ts';
import {
  createBucket,
  deleteBucket,
  getBucketEncryption,
  getBucketLifecycle,
  getBucketLocation,
  getBucketVersioning,
  headBucket,
  listBuckets,
} from './bucket-actions.ts';
import { completeMultipartUpload } from './complete-upload.ts';
import { listObjectsV2 } from './list-objects.ts';
import {
  abortMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './multipart-actions.ts';
import {
  deleteObject,
  deleteObjects,
  deleteObjectTagging,
  getObject,
  getObjectTagging,
  headObject,
  putObject,
  putObjectTagging,
} from './object-actions.ts';
import { notImplemented } from './refusals.ts';
import type { S3Address, S3Request } from './request.ts';
import type { Bucket, S3State } from './state.ts';

export type Route = {
  action: string;
  level: S3Address['level'];
  method: string;
  /** Query parameters that make it this action. */
  when: readonly string[];
  /** Further ones that it takes. */
  query: readonly string[];
  /** `x-amz-` headers that it takes beside those that every action takes. */
  headers: readonly string[];
  run(state: S3State, request: S3Request, bucket: Bucket): HttpAnswer | Promise<HttpAnswer>;
};

const BODY_HEADERS = [
  'x-amz-decoded-content-length',
  'x-amz-trailer',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-checksum-crc32',
  'x-amz-checksum-crc32c',
  'x-amz-checksum-crc64nvme',
  'x-amz-checksum-sha1',
  'x-amz-checksum-sha256',
];
const CHECKSUM_CHOICE = ['x-amz-checksum-algorithm', 'x-amz-checksum-type'];
const COMMON_HEADERS = [
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-expected-bucket-owner',
  'x-amz-user-agent',
];
/** What signs a presigned URL, and how the JavaScript SDK names the action. */
const COMMON_QUERY = [
  'X-Amz-Algorithm',
  'X-Amz-Content-Sha256',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-Signature',
  'X-Amz-SignedHeaders',
  'x-id',
];
const META_PREFIX = 'x-amz-meta-';

const ROUTES: readonly Route[] = [
  route({ action: 'ListBuckets', level: 'service', method: 'GET', run: listBuckets }),
  route({
    action: 'CreateBucket',
    level: 'bucket',
    method: 'PUT',
    run: createBucket,
    headers: [...BODY_HEADERS],
  }),
  route({ action: 'HeadBucket', level: 'bucket', method: 'HEAD', run: headBucket }),
  route({ action: 'DeleteBucket', level: 'bucket', method: 'DELETE', run: deleteBucket }),
  route({
    action: 'GetBucketLocation',
    level: 'bucket',
    method: 'GET',
    run: getBucketLocation,
    when: ['location'],
  }),
  route({
    action: 'GetBucketVersioning',
    level: 'bucket',
    method: 'GET',
    run: getBucketVersioning,
    when: ['versioning'],
  }),
  route({
    action: 'GetBucketEncryption',
    level: 'bucket',
    method: 'GET',
    run: getBucketEncryption,
    when: ['encryption'],
  }),
  route({
    action: 'GetBucketLifecycleConfiguration',
    level: 'bucket',
    method: 'GET',
    run: getBucketLifecycle,
    when: ['lifecycle'],
  }),
  route({
    action: 'ListObjectsV2',
    level: 'bucket',
    method: 'GET',
    run: listObjectsV2,
    when: ['list-type'],
    query: [
      'prefix',
      'delimiter',
      'max-keys',
      'start-after',
      'continuation-token',
      'encoding-type',
      'fetch-owner',
    ],
  }),
  route({
    action: 'ListMultipartUploads',
    level: 'bucket',
    method: 'GET',
    run: listMultipartUploads,
    when: ['uploads'],
    query: ['prefix', 'key-marker', 'upload-id-marker', 'max-uploads', 'encoding-type'],
  }),
  route({
    action: 'DeleteObjects',
    level: 'bucket',
    method: 'POST',
    run: deleteObjects,
    when: ['delete'],
    headers: BODY_HEADERS,
  }),
  route({
    action: 'PutObject',
    level: 'object',
    method: 'PUT',
    run: putObject,
    headers: [...BODY_HEADERS, ...ATTRIBUTE_HEADERS],
  }),
  route({
    action: 'GetObject',
    level: 'object',
    method: 'GET',
    run: getObject,
    headers: ['x-amz-checksum-mode'],
  }),
  route({
    action: 'HeadObject',
    level: 'object',
    method: 'HEAD',
    run: headObject,
    headers: ['x-amz-checksum-mode'],
  }),
  route({ action: 'DeleteObject', level: 'object', method: 'DELETE', run: deleteObject }),
  route({
    action: 'PutObjectTagging',
    level: 'object',
    method: 'PUT',
    run: putObjectTagging,
    when: ['tagging'],
    headers: BODY_HEADERS,
  }),
  route({
    action: 'GetObjectTagging',
    level: 'object',
    method: 'GET',
    run: getObjectTagging,
    when: ['tagging'],
  }),
  route({
    action: 'DeleteObjectTagging',
    level: 'object',
    method: 'DELETE',
    run: deleteObjectTagging,
    when: ['tagging'],
  }),
  route({
    action: 'CreateMultipartUpload',
    level: 'object',
    method: 'POST',
    run: createMultipartUpload,
    when: ['uploads'],
    headers: [...CHECKSUM_CHOICE, ...ATTRIBUTE_HEADERS],
  }),
  route({
    action: 'UploadPart',
    level: 'object',
    method: 'PUT',
    run: uploadPart,
    when: ['partNumber', 'uploadId'],
    headers: BODY_HEADERS,
  }),
  route({
    action: 'ListParts',
    level: 'object',
    method: 'GET',
    run: listParts,
    when: ['uploadId'],
    query: ['max-parts', 'part-number-marker', 'encoding-type'],
  }),
  route({
    action: 'CompleteMultipartUpload',
    level: 'object',
    method: 'POST',
    run: completeMultipartUpload,
    when: ['uploadId'],
    headers: [...BODY_HEADERS, 'x-amz-checksum-type', 'x-amz-mp-object-size'],
  }),
  route({
    action: 'AbortMultipartUpload',
    level: 'object',
    method: 'DELETE',
    run: abortMultipartUpload,
    when: ['uploadId'],
  }),
];

/** Throws NotImplemented for a sub-resource that the sandbox lacks, MethodNotAllowed where no action has the method. */
export function findRoute({ level }: S3Address, { method, query }: HttpRequest): Route {
  const candidates = ROUTES.filter((entry) => entry.level === level && entry.method === method);
  if (candidates.length === 0) {
    const message = 'The specified method is not allowed against this resource.';
    throw new Refusal({ status: 405, code: 'MethodNotAllowed', message, fields: { Method: method } });
  }
  const [best] = candidates
    .filter(({ when }) => when.every((name) => query.has(name)))
    .sort((left, right) => right.when.length - left.when.length);
  const unknown = [...query.keys()].find((name) => best === undefined || !takesQuery(best, name));
  if (unknown !== undefined) throw notImplemented({ QueryParameter: unknown });
  if (best === undefined)
    throw notImplemented({ QueryParameter: 'list-type is missing: ListObjects (version 1)' });
  return best;
}

export function checkHeaders(entry: Route, headers: IncomingHttpHeaders): void {
  const takesMetadata = ATTRIBUTE_HEADERS.every((name) => entry.headers.includes(name));
  const unknown = Object.keys(headers).find((name) => {
    if (!name.startsWith('x-amz-') || COMMON_HEADERS.includes(name) || entry.headers.includes(name))
      return false;
    return !(takesMetadata && name.startsWith(META_PREFIX));
  });
  if (unknown !== undefined) throw notImplemented({ Header: unknown });
}

function takesQuery({ when, query }: Route, name: string): boolean {
  return when.includes(name) || query.includes(name) || COMMON_QUERY.includes(name);
}

type RouteOptions = Omit<Route, 'when' | 'query' | 'headers'> &
  Partial<Pick<Route, 'when' | 'query' | 'headers'>>;

function route(options: RouteOptions): Route {
  return { when: [], query: [], headers: [], ...options };
}
