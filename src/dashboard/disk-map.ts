/** How far each part of a disk is copied. */
import { LandfallError } from '../domain/errors.ts';
import type { MachineRecord } from '../domain/machine-record.ts';
import type { State } from '../state/state.ts';
import type { DiskMap } from './api/machine.ts';

/** Throws `not-found`. */
export async function showDiskMap(
  _state: State,
  { record, disk, cells }: { record: MachineRecord; disk: string; cells: number },
): Promise<DiskMap> {
  const { machine } = record;
  const found = machine.disks.find(({ id }) => id === disk);
  if (found === undefined) {
    throw new LandfallError({
      code: 'not-found',
      message: `${machine.name} has no disk ${disk.slice(0, 100)}; it has ${machine.disks.map(({ id }) => id).join(', ')}.`,
    });
  }
  return { disk, bytes: found.bytes, cellBytes: Math.ceil(found.bytes / cells), cells: null };
}
