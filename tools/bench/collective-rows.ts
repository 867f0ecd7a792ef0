/** What must hold in every bench: one worker that fails it is a defect, so the worst counts. */
import { type BenchRow, toRow } from './bench-row.ts';
import type { TransferFigures } from './transfer-job.ts';

/** BullMQ's locks and our leases are renewed by timers. */
const MAX_BLOCK_MS = 50;

export function collectiveRows(kept: readonly TransferFigures[]): BenchRow[] {
  if (kept.length === 0) return [];
  const of = (figure: (figures: TransferFigures) => number) => ({ landfall: kept.map(figure), peer: [] });
  const shared = { ratio: 'none', by: 'worst', against: 'nothing' } as const;
  return [
    toRow({
      ...shared,
      name: 'event-loop',
      unit: 'ms',
      each: of(({ worstBlockMs }) => worstBlockMs),
      goal: { of: 'landfall', atMost: MAX_BLOCK_MS },
    }),
    toRow({
      ...shared,
      name: 'staging',
      unit: 'bytes',
      each: of(({ stagedBytes }) => stagedBytes),
      goal: { of: 'landfall', atMost: 0 },
    }),
  ];
}
