/** What S3 does with buckets. */
import { z } from 'zod';
import type { HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { TEXT } from '../xml.ts';
import { answerEmpty, answerXml } from './answers.ts';
import { receiveOptionalDocument } from './body.ts';
import type { S3Request } from './request.ts';
import { type Bucket, findBucket, ownerOf, type S3State, uploadLock } from './state.ts';
import { readXml } from './xml-document.ts';

/** The region whose endpoint makes buckets anywhere, and whose buckets have an empty location. */
const CLASSIC_REGION = 'us-east-1';
const REGION = /^[a-z]{2}(-[a-z]+){1,2}-\d$/;

const CONFIGURATION = z.union([z.literal(''), z.strictObject({ LocationConstraint: z.string().optional() })]);

export function listBuckets(state: S3State): HttpAnswer {
  const buckets = Object.values(state.buckets.read()).sort((a, b) => (a.name < b.name ? -1 : 1));
  const Bucket = buckets.map(({ name, createdAt, region: BucketRegion }) => ({
    Name: name,
    CreationDate: new Date(createdAt),
    BucketRegion,
  }));
  return answerXml('ListAllMyBucketsResult', { Buckets: { Bucket }, Owner: ownerOf(state) });
}

export async function createBucket(state: S3State, request: S3Request): Promise<HttpAnswer> {
  const { bucket: name } = request;
  checkName(name);
  const region = readRegion(await receiveOptionalDocument(request), request.region);
  const existing = findBucket(state, name);
  if (existing !== null) {
    // The classic region forgives making one's own bucket again.
    if (existing.region === CLASSIC_REGION && request.region === CLASSIC_REGION) return created(name);
    throw new Refusal({
      status: 409,
      code: 'BucketAlreadyOwnedByYou',
      message: 'Your previous request to create the named bucket succeeded and you already own it.',
      fields: { BucketName: name },
    });
  }
  await state.buckets.update((buckets) => {
    buckets[name] = { name, region, createdAt: state.now() };
  });
  return created(name);
}

export function headBucket(_state: S3State, _request: S3Request, bucket: Bucket): HttpAnswer {
  return answerEmpty(200, { 'x-amz-bucket-region': bucket.region });
}

export async function deleteBucket(state: S3State, { bucket: name }: S3Request): Promise<HttpAnswer> {
  if (state.objects.list(name).length > 0) {
    const message = 'The bucket you tried to delete is not empty';
    throw new Refusal({ status: 409, code: 'BucketNotEmpty', message, fields: { BucketName: name } });
  }
  await state.buckets.update((buckets) => {
    delete buckets[name];
  });
  for (const { id } of state.uploads.list(name)) {
    await state.locks(uploadLock(id), () => state.uploads.remove(id));
  }
  return answerEmpty(204);
}

/** The constraint is the text of the root itself; the classic region has none. */
export function getBucketLocation(_state: S3State, _request: S3Request, bucket: Bucket): HttpAnswer {
  return answerXml('LocationConstraint', bucket.region === CLASSIC_REGION ? {} : { [TEXT]: bucket.region });
}

/** Versioning was never switched on. */
export function getBucketVersioning(): HttpAnswer {
  return answerXml('VersioningConfiguration', {});
}

/** What every bucket has since 2023. */
export function getBucketEncryption(): HttpAnswer {
  return answerXml('ServerSideEncryptionConfiguration', {
    Rule: {
      ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' },
      BucketKeyEnabled: false,
    },
  });
}

export function getBucketLifecycle(_state: S3State, { bucket }: S3Request): HttpAnswer {
  const message = 'The lifecycle configuration does not exist';
  const fields = { BucketName: bucket };
  throw new Refusal({ status: 404, code: 'NoSuchLifecycleConfiguration', message, fields });
}

function created(name: string): HttpAnswer {
  return answerEmpty(200, { location: `/${name}` });
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
function checkName(name: string): void {
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(name);
  const isReserved = /^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|\.mrap|--x-s3)$/.test(name);
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !isAddress && !isReserved) {
    return;
  }
  const message = 'The specified bucket is not valid.';
  throw new Refusal({ status: 400, code: 'InvalidBucketName', message, fields: { BucketName: name } });
}

function readRegion(document: string, endpointRegion: string): string {
  const configuration =
    document === ''
      ? ''
      : readXml({ text: document, root: 'CreateBucketConfiguration', lists: [], schema: CONFIGURATION });
  const constraint = configuration === '' ? undefined : configuration.LocationConstraint;
  if (constraint === undefined || constraint === '') {
    if (endpointRegion === CLASSIC_REGION) return CLASSIC_REGION;
    throw illegalConstraint('unspecified');
  }
  if (constraint === CLASSIC_REGION || !REGION.test(constraint)) {
    const message = 'The specified location-constraint is not valid';
    const fields = { LocationConstraint: constraint };
    throw new Refusal({ status: 400, code: 'InvalidLocationConstraint', message, fields });
  }
  if (endpointRegion !== CLASSIC_REGION && constraint !== endpointRegion) throw illegalConstraint(constraint);
  return constraint;
}

function illegalConstraint(constraint: string): Refusal {
  const message = `The ${constraint} location constraint is incompatible for the region specific endpoint this request was sent to.`;
  return new Refusal({ status: 400, code: 'IllegalLocationConstraintException', message });
}
