/** An upload under way: what it is for, where it goes, how it is cut, and what was written down of it. */
import type { S3Client } from '@aws-sdk/client-s3';
import { z } from 'zod';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Container } from '../../../src/domain/image.ts';
import type { LedgerEntry, StepContext, UploadRequest } from '../../../src/domain/ports.ts';
import { objectUrl } from './multipart.ts';

export type UploadOptions = { s3: S3Client; bucket: string; prefix: string; firstPartBytes: number };

export type OpenUpload = {
  options: UploadOptions;
  request: UploadRequest;
  context: StepContext;
  entry: LedgerEntry;
  layout: Layout;
};

const layoutSchema = z.object({
  bucket: z.string(),
  key: z.string(),
  contentId: z.string(),
  container: z.enum(['vmdk-stream-optimized', 'vhd-fixed', 'raw'] satisfies Container[]),
  partSizes: z.object({ firstBytes: z.int(), growthBytes: z.int() }),
});

/** Where one upload goes, what of, and how it is cut: fixed by its first attempt. */
export type Layout = z.infer<typeof layoutSchema>;

/** null where an attempt got no further than its intent, or where this version cannot read what is written. */
export function layoutFrom({ ref }: LedgerEntry): Layout | null {
  return layoutSchema.safeParse(ref).data ?? null;
}

const completionSchema = z.object({
  lengthBytes: z.int(),
  partCount: z.int(),
  /** Of the whole, and of the parts' four-byte CRCs in order; both in hexadecimal. */
  crc32: z.string(),
  crc32OfParts: z.string(),
});

/** What the finished object must be. */
export type Completion = z.infer<typeof completionSchema>;

/** Written before Complete is sent; null: it never was. */
export function completionFrom({ ref }: LedgerEntry): Completion | null {
  return completionSchema.safeParse(ref).data ?? null;
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

/** Only a lifecycle rule of the bucket or a person ends an upload that Landfall has under way. */
export function expiredUpload({ request, context, layout }: OpenUpload, cause?: unknown): LandfallError {
  return new LandfallError({
    code: 'target-missing',
    retryable: true,
    message: `The upload of ${context.machine} disk ${request.disk} to ${objectUrl(layout)} is no longer open at S3: it expired or was removed. The next try starts it again. If that happens often, let the bucket's rule AbortIncompleteMultipartUpload wait longer than an upload takes.`,
    ...(cause === undefined ? {} : { cause }),
    context: { bucket: layout.bucket, key: layout.key },
  });
}
