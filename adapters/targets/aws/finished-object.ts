/** The object that Complete makes, held against what was written down before Complete was sent. */
import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Artifact } from '../../../src/domain/landing.ts';
import { digestsTold } from './checksum-mode.ts';
import { headObject } from './multipart.ts';
import { artifactOf } from './object.ts';
import { type Completion, completionFrom, type OpenUpload } from './open-upload.ts';

/** null where Complete was never sent, where there is no object, or where it is not the one that it should be. */
export async function findFinished({
  options,
  request,
  context,
  layout,
  entry,
}: OpenUpload): Promise<Artifact | null> {
  const completion = completionFrom(entry);
  if (completion === null) return null;
  const head = await headObject(options.s3, layout, context.signal);
  if (head === null || !isAsCompleted(head, completion)) return null;
  const expected = [{ algorithm: 'crc32', value: completion.crc32 }];
  return artifactOf({ disk: request.disk, container: layout.container, place: layout, head, expected });
}

function isAsCompleted(head: HeadObjectCommandOutput, completion: Completion): boolean {
  if (head.ContentLength !== completion.lengthBytes) return false;
  // S3 ends the ETag of an object that was put together with the number of its parts.
  const [, partCount] = /-(\d+)"?$/.exec(head.ETag ?? '') ?? [];
  if (partCount !== undefined && Number(partCount) !== completion.partCount) return false;
  return digestsTold(head).every(({ algorithm, value }) =>
    algorithm === 'crc32-parts' ? value === completion.crc32OfParts : value === completion.crc32,
  );
}
