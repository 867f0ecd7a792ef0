/** What a machine made at the target and at its source, for eyes. Pure. */
import type { MachineRecord } from '../domain/machine-record.ts';
import type { LedgerEntry } from '../domain/ports.ts';
import { listMade } from '../operations/made-things.ts';
import type { MachineDetail } from './api/machine.ts';

/** Newest first. `priceOf`: US dollars a month; null: not known. */
export function showLedger(
  record: MachineRecord,
  entries: readonly LedgerEntry[],
  priceOf: (entry: LedgerEntry) => number | null,
): MachineDetail['ledger'] {
  const isDebris = ['failed', 'cancelled', 'discarded', 'rolled-back'].includes(record.status);
  return entries.toReversed().map((entry) => {
    const made = listMade(entry);
    const stands = entry.state === 'intended' || entry.state === 'done';
    return {
      thing: entry.thing,
      generation: entry.generation,
      state: entry.state,
      made,
      isLeftover: isDebris && stands && made.length > 0,
      costPerMonth: priceOf(entry),
      at: entry.at,
    };
  });
}
