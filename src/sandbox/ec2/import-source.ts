/** What an import reads, checked before a task is made: the service role, the bucket, the object. */
import { structParameter, textParameter } from '../query-form.ts';
import type { Ec2Cloud } from './cloud.ts';
import { refuse } from './refusals.ts';
import { type Ec2State, IMPORT_FORMATS, type ImportDisk, type ImportFormat } from './state.ts';

export const userBucket = structParameter({ S3Bucket: textParameter, S3Key: textParameter });
export type UserBucket = { S3Bucket: string; S3Key: string };

const DEFAULT_ROLE = 'vmimport';
const SERVICE = 'vmie.amazonaws.com';
const EXTERNAL_ID = { 'sts:Externalid': 'vmimport' };

export function readFormat(given: string, allowed: readonly ImportFormat[]): ImportFormat {
  const format = IMPORT_FORMATS.find((known) => known === given.toUpperCase());
  if (format !== undefined && allowed.includes(format)) return format;
  throw refuse(
    'InvalidParameter',
    `The disk image format '${given}' is not supported. Use one of ${allowed.join(', ')}.`,
  );
}

/** Throws InvalidParameter in VM Import's words. */
export async function findSource(
  { objects, region }: Ec2Cloud,
  { S3Bucket: bucket, S3Key: key }: UserBucket,
): Promise<NonNullable<ImportDisk['source']>> {
  const home = objects.bucketRegion(bucket);
  if (home !== null && home !== region) {
    throw refuse('InvalidParameter', 'The given S3 bucket is not local to the Region');
  }
  const object = await objects.find(bucket, key);
  if (object === null) throw refuse('InvalidParameter', 'Invalid S3 source location');
  return { bucket, key, etag: object.etag, bytes: object.bytes };
}

/** Returns the role's name. Throws when VM Import may not take it, or it may not read what is imported. */
export function checkRole(
  { roles }: Ec2Cloud,
  { roleName = DEFAULT_ROLE, sources }: { roleName: string | undefined; sources: readonly UserBucket[] },
): string {
  const role = roles.find(roleName);
  const mayRead = sources.every(
    ({ S3Bucket: bucket, S3Key: key }) =>
      role?.allows('s3:GetObject', `arn:aws:s3:::${bucket}/${key}`) === true &&
      role.allows('s3:ListBucket', `arn:aws:s3:::${bucket}`) &&
      role.allows('s3:GetBucketLocation', `arn:aws:s3:::${bucket}`),
  );
  if (role?.trusts(SERVICE, EXTERNAL_ID) === true && mayRead) return roleName;
  throw refuse(
    'InvalidParameter',
    `The service role ${roleName} provided does not exist or does not have sufficient permissions`,
  );
}

export function checkQuota(state: Readonly<Ec2State>, limit: number): void {
  const active = Object.values(state.importTasks).filter(({ status }) => status === 'active');
  if (active.length < limit) return;
  throw refuse(
    'ResourceLimitExceeded',
    `Task failed to initialize - conversion task limit (${limit}) exceeded.`,
  );
}
