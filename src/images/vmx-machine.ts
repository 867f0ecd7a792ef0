/** The machine of a `.vmx`, with every disk file looked into. */
import { basename, dirname, extname, resolve } from 'node:path';
import {
  type ApplianceMachine,
  buildMachine,
  type DescribedDisk,
  identityOf,
  type ReadOptions,
} from './appliance-machine.ts';
import { describeDiskFile } from './disk-content.ts';
import { findNeighbour } from './neighbour-file.ts';
import { missingImage } from './refusal.ts';
import { readSmallFile } from './small-file.ts';
import { parseVmx, type VmxDisk } from './vmx.ts';
import { MAX_VMX_BYTES } from './vmx-settings.ts';

/** Throws `image-…` errors, `source-not-off` where the machine is suspended. */
export async function readVmxMachine(path: string, options: ReadOptions): Promise<ApplianceMachine> {
  const slice = { path, offsetBytes: 0, lengthBytes: null };
  const { signal } = options;
  const bytes = await readSmallFile({ slice, label: path, limitBytes: MAX_VMX_BYTES, signal });
  const vmx = parseVmx(bytes, path);
  const name = vmx.name ?? basename(path, extname(path));
  const disks: DescribedDisk[] = [];
  for (const disk of vmx.disks) disks.push(await describeDisk({ path, disk, options }));
  return buildMachine({ ...vmx, name, identity: await identityOf(path, name), disks });
}

async function describeDisk(wanted: {
  path: string;
  disk: VmxDisk;
  options: ReadOptions;
}): Promise<DescribedDisk> {
  const { path, disk, options } = wanted;
  const folder = dirname(path);
  const label = `${path}, line ${disk.line}`;
  // An absolute name is taken where it leads to the machine's own folder.
  const isBeside = dirname(resolve(folder, disk.file)) === folder;
  const file = await findNeighbour({ folder, name: isBeside ? basename(disk.file) : disk.file, label });
  if (file === null) {
    throw missingImage({
      label,
      found: `${disk.place} is the file ${disk.file}, and there is no such file`,
      remedy: `Copy it into ${folder}, beside the description.`,
      context: { file: path, member: disk.file, line: disk.line },
    });
  }
  const slice = { path: file, offsetBytes: 0, lengthBytes: null };
  const found = await describeDiskFile({ slice, label: file, capacityBytes: null }, options);
  return { ...found, boots: disk.boots };
}
