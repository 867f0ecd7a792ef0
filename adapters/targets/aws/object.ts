/** A finished object as an artifact, and its removal. */
import {
  DeleteObjectCommand,
  type HeadObjectCommandOutput,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { Container } from '../../../src/domain/image.ts';
import type { JsonObject } from '../../../src/domain/json.ts';
import type { Artifact, Digest } from '../../../src/domain/landing.ts';
import { digestsTold } from './checksum-mode.ts';
import { ask } from './errors.ts';
import { type ObjectPlace, objectUrl } from './multipart.ts';

export const OBJECT_KIND = 's3-object';

/** `versionId` only where the bucket keeps versions: then it must be named to be removed for good. */
export type ObjectRef = ObjectPlace & { versionId?: string };

/**
 * What S3 says that it holds. `expected` are digests that we computed while sending: each is confirmed where S3 tells the
 * same; S3's own are kept beside them.
 */
export function artifactOf(of: {
  disk: string;
  container: Container;
  place: ObjectPlace;
  head: HeadObjectCommandOutput;
  expected: readonly Omit<Digest, 'isConfirmed'>[];
}): Artifact {
  const { disk, container, place, head, expected } = of;
  const told = digestsTold(head);
  const digests = expected.map((digest) => ({
    ...digest,
    isConfirmed: told.some((one) => one.algorithm === digest.algorithm && one.value === digest.value),
  }));
  const others = told.filter((one) => !expected.some((digest) => digest.algorithm === one.algorithm));
  const versionId = head.VersionId === undefined ? {} : { versionId: head.VersionId };
  return {
    disk,
    kind: OBJECT_KIND,
    container,
    bytes: head.ContentLength ?? 0,
    ref: { bucket: place.bucket, key: place.key, ...versionId },
    digests: [...digests, ...others],
  };
}

export function objectRef(ref: JsonObject | null): ObjectRef | null {
  const { bucket, key, versionId } = ref ?? {};
  if (typeof bucket !== 'string' || typeof key !== 'string') return null;
  return { bucket, key, ...(typeof versionId === 'string' ? { versionId } : {}) };
}

/** Idempotent: S3 answers alike whether the object was there or not. */
export async function deleteObject(s3: S3Client, ref: ObjectRef, signal: AbortSignal): Promise<void> {
  const call = { doing: 'Removing an object', action: 's3:DeleteObject', resource: objectUrl(ref) };
  const version = ref.versionId === undefined ? {} : { VersionId: ref.versionId };
  const command = new DeleteObjectCommand({ Bucket: ref.bucket, Key: ref.key, ...version });
  await ask(call, () => s3.send(command, { abortSignal: signal }));
}

/** Objects whose keys start with the prefix, in the order of their keys. */
export async function listObjects(
  s3: S3Client,
  { bucket, prefix }: { bucket: string; prefix: string },
  signal: AbortSignal,
): Promise<ObjectPlace[]> {
  const call = {
    doing: 'Listing objects',
    action: 's3:ListBucket',
    resource: `s3://${bucket}/${prefix}`,
  };
  const places: ObjectPlace[] = [];
  await ask(call, async () => {
    const pages = paginateListObjectsV2(
      { client: s3 },
      { Bucket: bucket, Prefix: prefix },
      { abortSignal: signal },
    );
    for await (const page of pages)
      for (const { Key: key } of page.Contents ?? []) if (key !== undefined) places.push({ bucket, key });
  });
  return places;
}
