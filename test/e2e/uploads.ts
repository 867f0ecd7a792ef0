/** What the bucket holds of an upload under way, asked with the vendor's own client. */
import { ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { BUCKET, type Ground } from './ground.ts';

export type UploadUnderWay = { key: string; held: readonly number[] };

/** The one unfinished upload of a machine's disk. */
export async function findUpload(
  { s3 }: Ground,
  { run, machine, disk }: { run: string; machine: string; disk: string },
): Promise<UploadUnderWay> {
  const Prefix = `landfall/${run}/${machine}/disk-${disk}-`;
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
  const [upload, ...others] = Uploads;
  if (upload?.Key === undefined || others.length > 0) {
    throw new Error(`${Prefix}* has ${Uploads.length} uploads under way, not one`);
  }
  const { Key, UploadId } = upload;
  const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId }));
  return { key: Key, held: Parts.flatMap(({ PartNumber }) => PartNumber ?? []) };
}
