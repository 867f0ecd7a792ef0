/** What the bucket holds of an upload under way, and how tests stop one where they want it. */
import { ListMultipartUploadsCommand, ListPartsCommand } from '@aws-sdk/client-s3';
import { vi } from 'vitest';
import { BUCKET, type Ground } from './ground.ts';

export type DiskOf = { run: string; machine: string; disk: string };
export type UploadUnderWay = { key: string; held: readonly number[] };

const PARTS_AT_MOST = 100;

/** The one unfinished upload of a machine's disk, asked with the vendor's own client; null while there is none. */
export async function findUpload(
  { s3 }: Ground,
  { run, machine, disk }: DiskOf,
): Promise<UploadUnderWay | null> {
  const Prefix = `landfall/${run}/${machine}/disk-${disk}-`;
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix }));
  const [upload, ...others] = Uploads;
  if (others.length > 0) throw new Error(`${Prefix}* has ${Uploads.length} uploads under way, not one`);
  if (upload?.Key === undefined) return null;
  const { Key, UploadId } = upload;
  const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId }));
  return { key: Key, held: Parts.flatMap(({ PartNumber }) => PartNumber ?? []) };
}

/**
 * Parts after this one get stuck on their way, until whoever sends them gives up or `delayMs` is over. Earlier holds
 * are lifted for parts that were not sent yet.
 */
export function holdPartsAfter({ sandbox }: Ground, last: number, delayMs = 300_000): void {
  sandbox.faults.clear();
  for (let partNumber = last + 1; partNumber <= PARTS_AT_MOST; partNumber += 1) {
    sandbox.faults.add({ service: 's3', action: 'UploadPart', partNumber, delayMs });
  }
}

/** Waits until the target holds so many parts of a disk. */
export async function untilHeld(ground: Ground, of: DiskOf & { count: number }): Promise<UploadUnderWay> {
  return await vi.waitUntil(
    async () => {
      const upload = await findUpload(ground, of);
      return upload !== null && upload.held.length >= of.count ? upload : null;
    },
    { timeout: 60_000, interval: 20 },
  );
}
