/**
 * Under which names disks are attached. They give AWS's order only: on Nitro a guest numbers its NVMe disks as it finds
 * them, so a guest must know its file systems by UUID or label.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
 */
import { bootDisk, type Machine } from '../../../src/domain/machine.ts';

export const ROOT_DEVICE = '/dev/sda1';
/** f to z: 20 data disks beside the root; b to e are left to instance store volumes. */
const DATA_LETTERS = 'fghijklmnopqrstuvwxyz';
/** AWS imports at most 21 volumes of a machine. */
export const MAX_DISKS = 21;

/** The disk that boots is the root; the others follow in bus order. */
export function deviceNames(machine: Machine): { disk: string; device: string }[] {
  const root = bootDisk(machine);
  const data = machine.disks.filter((disk) => disk !== root);
  if (data.length >= MAX_DISKS) throw new RangeError(`${machine.name} has ${machine.disks.length} disks`);
  return [
    { disk: root.id, device: ROOT_DEVICE },
    ...data.map((disk, index) => ({ disk: disk.id, device: `/dev/sd${DATA_LETTERS[index]}` })),
  ];
}
