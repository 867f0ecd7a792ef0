/** What stands at the target costs by the month at list price, by the ledger and without asking the target. */
import type { MachineRecord } from '../domain/machine-record.ts';
import type { LedgerEntry, PricedDisk, Target } from '../domain/ports.ts';

/**
 * US dollars a month; null: not known; 0 where nothing stands any more. `record`: its plan's `${env:NAME}` resolved.
 */
export function priceMade(
  target: Pick<Target, 'monthlyPrice'>,
  record: MachineRecord,
  entry: LedgerEntry,
): number | null {
  if (entry.state === 'discarded' || entry.state === 'failed') return 0;
  const { images, prepared, artifacts } = record;
  const disks = record.machine.disks.map(({ id, bytes }): PricedDisk => {
    const [dataBytes, artifactBytes] = [prepared[id]?.dataBytes ?? null, artifacts[id]?.bytes ?? null];
    return { id, bytes: images[id]?.bytes ?? bytes, dataBytes, artifactBytes };
  });
  return target.monthlyPrice?.({ entry, to: record.plan.to, disks }) ?? null;
}
