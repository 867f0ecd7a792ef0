/** What must hold in every bench: one worker that fails it is a defect, so the worst counts. */
import { type BenchRow, toRow } from './bench-row.ts';
import { STANDSTILL_MS } from './process-figures.ts';
import { ownPartMs, type Standstill } from './standstills.ts';
import type { TransferFigures } from './transfer-job.ts';

/** BullMQ's locks and our leases are renewed by timers. */
const MAX_BLOCK_MS = 50;

/** `idle`: when a process that did nothing stood still meanwhile. */
export function collectiveRows(kept: readonly TransferFigures[], idle: readonly Standstill[]): BenchRow[] {
  if (kept.length === 0) return [];
  const shared = { ratio: 'none', by: 'worst' } as const;
  return [
    toRow({
      ...shared,
      name: 'event-loop',
      unit: 'ms',
      each: {
        landfall: kept.map((figures) => ownBlockMs(figures, idle)),
        peer: kept.map(({ worstBlockMs }) => worstBlockMs),
      },
      against: 'by the wall clock',
      goal: { of: 'landfall', atMost: MAX_BLOCK_MS },
    }),
    toRow({
      ...shared,
      name: 'staging',
      unit: 'bytes',
      each: { landfall: kept.map(({ stagedBytes }) => stagedBytes), peer: [] },
      against: 'nothing',
      goal: { of: 'landfall', atMost: 0 },
    }),
  ];
}

/** The longest that the worker's event loop served nothing, without what it waited for the machine. */
function ownBlockMs({ worstBlockMs, standstills }: TransferFigures, idle: readonly Standstill[]): number {
  const own = standstills.map((standstill) => ownPartMs(standstill, idle));
  return Math.max(Math.min(worstBlockMs, STANDSTILL_MS), ...own);
}
