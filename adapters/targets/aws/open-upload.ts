/** An upload under way: what it is for, how it is cut, and what S3 holds of it. */
import type { S3Client } from '@aws-sdk/client-s3';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { HeldPart, LedgerEntry, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import { objectUrl } from './multipart.ts';

export type UploadOptions = { s3: S3Client; bucket: string; prefix: string; partBytes: number };

/** How one upload is cut, and where it goes: fixed by its first attempt. */
export type Layout = { bucket: string; key: string; lengthBytes: number; partBytes: number };

/** What is known of a part that S3 holds. */
export type SentPart = HeldPart & { etag: string };

export type OpenUpload = {
  options: UploadOptions;
  request: UploadRequest;
  context: StepContext;
  entry: LedgerEntry;
  layout: Layout;
};

export function layoutFrom({ ref }: LedgerEntry): Layout | null {
  const { bucket, key, lengthBytes, partBytes } = ref ?? {};
  if (typeof bucket !== 'string' || typeof key !== 'string') return null;
  if (typeof lengthBytes !== 'number' || typeof partBytes !== 'number') return null;
  return { bucket, key, lengthBytes, partBytes };
}

export function damagedPart(number: number, layout: Layout, cause?: unknown): LandfallError {
  return new LandfallError({
    code: 'target-refused',
    retryable: true,
    message: `Part ${number} of ${objectUrl(layout)} does not have the checksum of its bytes at the source: it was damaged on the way and is sent again.`,
    ...(cause === undefined ? {} : { cause }),
    context: { part: number, bucket: layout.bucket, key: layout.key },
  });
}
