/** The sandbox's S3: finds the action a request means, checks what all actions share, and answers. */
import { join } from 'node:path';
import type { Account } from '../account.ts';
import type { HttpAnswer, HttpRequest } from '../http.ts';
import type { ObjectReader } from '../neighbours.ts';
import { Refusal } from '../refusal.ts';
import { openStore } from '../store.ts';
import { createLocks } from './locks.ts';
import { openObjectStore } from './object-store.ts';
import { noSuchBucket } from './refusals.ts';
import { readAddress, type S3Address, type S3Request } from './request.ts';
import { checkHeaders, findRoute, type Route } from './routes.ts';
import { openSpool } from './spool.ts';
import { type Bucket, findBucket, type S3State } from './state.ts';
import { openUploadStore } from './upload-store.ts';

export type S3Options = { folder: string; account: Account; now: () => number; stopping: AbortSignal };

export type S3Call = { route: Route; address: S3Address };

export type S3 = {
  /** What is asked, before who asks and without touching the body. Throws a Refusal. */
  understand(http: HttpRequest): S3Call;
  /** Throws a Refusal. The request's signature was found true. */
  answer(call: S3Call, request: Pick<S3Request, 'http' | 'region' | 'signing'>): Promise<HttpAnswer>;
  objects: ObjectReader;
};

/** Actions that may be asked at any region's endpoint. */
const REGIONLESS = ['GetBucketLocation'];

export async function openS3({ folder, account, now, stopping }: S3Options): Promise<S3> {
  const buckets = await openStore<Record<string, Bucket>>(join(folder, 'buckets.json'), {});
  const objects = await openObjectStore(folder);
  const uploads = await openUploadStore(
    join(folder, 'uploads'),
    ({ id, bucket, key }) => objects.find(bucket, key)?.uploadId === id,
  );
  const spool = await openSpool(join(folder, 'incoming'));
  const locks = createLocks();
  const state: S3State = { account, buckets, objects, uploads, spool, locks, now, stopping };

  return {
    understand: (http) => {
      const address = readAddress(http);
      if (address === null) {
        throw new Refusal({
          status: 400,
          code: 'InvalidURI',
          message: "Couldn't parse the specified URI.",
          fields: { URI: http.rawPath },
        });
      }
      return { address, route: findRoute(address, http) };
    },
    async answer({ route, address }, { http, region, signing }) {
      checkHeaders(route, http.headers);
      const bucket = address.level === 'service' ? '' : address.bucket;
      const key = address.level === 'object' ? address.key : '';
      const request: S3Request = { http, region, signing, bucket, key };
      return route.run(state, request, checkBucket({ state, request, route }));
    },
    objects: {
      async find(bucket, key) {
        const object = objects.find(bucket, key);
        if (object === null) return null;
        return { file: objects.pathOf(object), bytes: object.bytes, etag: object.etag };
      },
      bucketRegion: (bucket) => findBucket(state, bucket)?.region ?? null,
    },
  };
}

const NO_BUCKET: Bucket = { name: '', region: '', createdAt: 0 };

function checkBucket({
  state,
  request,
  route,
}: {
  state: S3State;
  request: S3Request;
  route: Route;
}): Bucket {
  checkOwner(state, request);
  if (route.level === 'service' || route.action === 'CreateBucket') return NO_BUCKET;
  const bucket = findBucket(state, request.bucket);
  if (bucket === null) throw noSuchBucket(request.bucket);
  if (bucket.region !== request.region && !REGIONLESS.includes(route.action)) throw permanentRedirect(bucket);
  return bucket;
}

function checkOwner({ account }: S3State, { http }: S3Request): void {
  const owner = http.headers['x-amz-expected-bucket-owner'];
  if (owner === undefined || owner === account.accountId) return;
  throw new Refusal({ status: 403, code: 'AccessDenied', message: 'Access Denied' });
}

function permanentRedirect({ name, region }: Bucket): Refusal {
  return new Refusal({
    status: 301,
    code: 'PermanentRedirect',
    message:
      'The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.',
    fields: { Endpoint: `${name}.s3.${region}.amazonaws.com`, Bucket: name, BucketRegion: region },
  });
}
