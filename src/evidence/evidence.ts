/** The store for what outlives workers: a folder, or a bucket where workers share no file system. */
import { isAbsolute } from 'node:path';
import { LandfallError } from '../domain/errors.ts';
import type { Evidence } from '../domain/ports.ts';
import { openFolderEvidence } from './folder-evidence.ts';
import { openS3Evidence } from './s3-evidence.ts';

const S3_URL = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/;

/** `place` is an absolute folder or s3://bucket/prefix. Touches nothing yet. Throws `usage` on anything else. */
export function openEvidence(place: string): Evidence {
  if (isAbsolute(place)) return openFolderEvidence(place);
  const [, bucket, path = ''] = S3_URL.exec(place) ?? [];
  if (bucket === undefined) {
    throw new LandfallError({
      code: 'usage',
      message: `LANDFALL_EVIDENCE=${place} names no place for evidence. Give a folder, or s3://bucket/prefix with the name of an S3 bucket.`,
    });
  }
  const prefix = path.split('/').filter(Boolean).join('/');
  return openS3Evidence({ bucket, prefix: prefix === '' ? '' : `${prefix}/` });
}
