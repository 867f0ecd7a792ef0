/** A disk of a machine as a picture: what is copied, what is zeros, what is to do. */
import type { MachineRecord } from '../domain/machine-record.ts';
import { cellBytesOf, type DiskCell, decodeCells, holesKey, mapKey } from '../stages/disk-map.ts';
import { readCheckpointBytes } from '../state/checkpoints.ts';
import type { State } from '../state/state.ts';

export type DiskMap = {
  disk: string;
  bytes: number;
  /** Of each cell but the last, which may be shorter. */
  cellBytes: number;
  /** First to last; null where nothing is known yet. */
  cells: DiskCell[] | null;
};

/** At most `atMost` cells (and 512). What is neither copied nor zero is to do. */
export async function readDiskMap(
  state: State,
  record: MachineRecord,
  { disk, atMost = 512 }: { disk: string; atMost?: number },
): Promise<DiskMap> {
  const bytes = record.images[disk]?.bytes ?? record.machine.disks.find(({ id }) => id === disk)?.bytes ?? 0;
  const of = { run: record.run, machine: record.machine.name };
  const [map = null, holes = null] = await readCheckpointBytes(state.redis, of, [
    mapKey(disk),
    holesKey(disk),
  ]);
  const kept = map ?? holes;
  const cellBytes = cellBytesOf(bytes);
  const cells = kept === null ? null : decodeCells(kept, bytes);
  const together = cells === null ? 1 : Math.max(1, Math.ceil(cells.length / Math.max(1, atMost)));
  return {
    disk,
    bytes,
    cellBytes: cellBytes * together,
    cells: cells === null ? null : joinCells(cells, { together, lastShare: lastShareOf(bytes, cellBytes) }),
  };
}

/** By their length: the last cell of a disk may be shorter than the others. */
function joinCells(
  cells: readonly DiskCell[],
  { together, lastShare }: { together: number; lastShare: number },
): DiskCell[] {
  if (together === 1) return [...cells];
  const weight = (index: number): number => (index === cells.length - 1 ? lastShare : 1);
  return Array.from({ length: Math.ceil(cells.length / together) }, (_none, joined) => {
    const sum = { copied: 0, zero: 0, weight: 0 };
    for (let index = joined * together; index < Math.min(cells.length, (joined + 1) * together); index += 1) {
      sum.copied += (cells[index]?.copied ?? 0) * weight(index);
      sum.zero += (cells[index]?.zero ?? 0) * weight(index);
      sum.weight += weight(index);
    }
    return { copied: sum.copied / sum.weight, zero: sum.zero / sum.weight };
  });
}

function lastShareOf(bytes: number, cellBytes: number): number {
  return bytes % cellBytes === 0 ? 1 : (bytes % cellBytes) / cellBytes;
}
