/**
 * What stands in an account costs by the month, at list price: for eyes, so that leftovers are not forgotten. US dollars for
 * each GiB, Standard tier, as https://aws.amazon.com/ebs/pricing/ and https://aws.amazon.com/s3/pricing/ had them in
 * January 2025 for the regions named here, which are priced alike; others differ by up to a half, and nothing is said of
 * them. Requests, and discounts of an account, are not in it.
 */
import type { MadeByEntry } from '../../../src/domain/ports.ts';

const REGIONS: ReadonlySet<string> = new Set(['us-east-1', 'us-east-2', 'us-west-2']);
const S3_GIB_MONTH = 0.023;
const SNAPSHOT_GIB_MONTH = 0.05;
const GIB = 2 ** 30;

/** null: not known. An instance is: whether it runs is not in the ledger, and its price depends on who is in the account. */
export function monthlyPrice(region: string, { entry, disks }: MadeByEntry): number | null {
  const [name = '', disk] = entry.thing.split(':');
  const of = disks.filter(({ id }) => disk === undefined || id === disk);
  switch (name) {
    // Groups cost nothing, and an image no more than its snapshots, which stand in the entries of what made them.
    case 'quarantine':
    case 'admission':
    case 'image':
      return 0;
    case 'upload':
      return priced(
        region,
        S3_GIB_MONTH,
        of.map(({ artifactBytes }) => artifactBytes),
      );
    case 'snapshot':
      return priced(
        region,
        SNAPSHOT_GIB_MONTH,
        of.map(({ artifactBytes }) => artifactBytes),
      );
    case 'import-task':
      // Snapshots hold the blocks that hold data; before there are any, the task costs nothing.
      if (entry.ref?.snapshotId === undefined && entry.ref?.snapshotIds === undefined) return 0;
      return priced(
        region,
        SNAPSHOT_GIB_MONTH,
        of.map(({ dataBytes }) => dataBytes),
      );
    default:
      return null;
  }
}

function priced(region: string, perGib: number, sizes: readonly (number | null)[]): number | null {
  if (!REGIONS.has(region) || sizes.length === 0) return null;
  let bytes = 0;
  for (const size of sizes) {
    if (size === null) return null;
    bytes += size;
  }
  return (bytes / GIB) * perGib;
}
