/** How far each part of a disk is copied. */
import { LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import { readDiskMap } from '../operations/read-disk-map.ts';
import type { State } from '../state/state.ts';
import type { DiskMap } from './api/machine.ts';

/** Throws `not-found`. */
export async function showDiskMap(
  state: State,
  { record, disk, cells }: { record: MachineRecord; disk: string; cells: number },
): Promise<DiskMap> {
  const ids = record.machine.disks.map(({ id }) => id);
  if (ids.includes(disk)) return readDiskMap(state, record, { disk, atMost: cells });
  throw new LandfallError({
    code: 'not-found',
    message: `${record.machine.name} has no disk ${disk.slice(0, 100)}; it has ${ids.join(', ')}.`,
  });
}
