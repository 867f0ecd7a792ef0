/** A machine made of disk images alone: what no file says takes defaults that the wave can override. */
import { basename, resolve } from 'node:path';
import type { QemuFormat } from '../domain/image.ts';
import type { AssumedFact, Firmware } from '../domain/machine.ts';
import {
  type ApplianceMachine,
  buildMachine,
  type DescribedDisk,
  identityOf,
  type ReadOptions,
} from './appliance-machine.ts';
import { describeDiskFile } from './disk-content.ts';
import { bootsByUefiOnly } from './partition-table.ts';
import { statImage } from './slice-reader.ts';

export type BareDisk = { path: string; format?: QemuFormat | undefined };

const DEFAULT_CPUS = 1;
const DEFAULT_MEMORY_BYTES = 2 ** 30;

/** The first disk boots; the machine is called as that disk's file. Throws `image-…` errors. */
export async function readBareMachine(
  disks: readonly [BareDisk, ...BareDisk[]],
  options: ReadOptions,
): Promise<ApplianceMachine> {
  const described: DescribedDisk[] = [];
  for (const [index, { path, format }] of disks.entries()) {
    const absolute = resolve(path);
    await statImage(absolute, absolute);
    const slice = { path: absolute, offsetBytes: 0, lengthBytes: null };
    const found = await describeDiskFile({ slice, label: absolute, format, capacityBytes: null }, options);
    described.push({ ...found, boots: index === 0 });
  }
  const name = nameOf(disks[0].path);
  const told = await readFirmware(described[0], options.signal);
  const assumed: AssumedFact[] = ['cpus', 'memoryBytes'];
  return buildMachine({
    name,
    uuid: null,
    identity: await identityOf(disks[0].path, name),
    firmware: told ?? 'bios',
    secureBoot: false,
    cpus: DEFAULT_CPUS,
    memoryBytes: DEFAULT_MEMORY_BYTES,
    os: null,
    disks: described,
    nics: [],
    assumed: told === null ? ['firmware', ...assumed] : assumed,
  });
}

/** `web01` for `web01.qcow2` and for `web01.img.gz`. */
function nameOf(path: string): string {
  const file = basename(path);
  return file.replace(/\.gz$/i, '').replace(/\.(img|raw|bin|qcow2?|vmdk|vhdx?|vpc)$/i, '') || file;
}

/** null: only a raw disk's partition table can be read without a qemu tool. */
async function readFirmware(disk: DescribedDisk | undefined, signal: AbortSignal): Promise<Firmware | null> {
  if (disk === undefined || disk.content.kind !== 'image') return null;
  const { layout } = disk.content.image;
  if (layout.kind !== 'single' || layout.format !== 'raw') return null;
  return (await bootsByUefiOnly(layout.file, signal)) ? 'uefi' : 'bios';
}
