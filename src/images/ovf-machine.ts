/** The machines of an OVF, with every disk file looked into. */
import {
  type ApplianceMachine,
  buildMachine,
  type DescribedDisk,
  identityOf,
  type ReadOptions,
} from './appliance-machine.ts';
import { describeDiskFile } from './disk-content.ts';
import { checkDiskBytes } from './disk-size.ts';
import { checkManifest } from './manifest-check.ts';
import { parseOvf } from './ovf.ts';
import { type OvfAttachedDisk, type OvfDisk, type OvfFile, ovfFault } from './ovf-document.ts';
import type { OvfPackage } from './ovf-package.ts';
import { COPY_AGAIN, missingImage } from './refusal.ts';

/**
 * Cheap checks come first: the descriptor, then every disk's header, then the manifest's digests, which read all.
 * Throws `image-…` errors and `digest-mismatch`.
 */
export async function readOvfMachines(ovf: OvfPackage, options: ReadOptions): Promise<ApplianceMachine[]> {
  const machines: ApplianceMachine[] = [];
  for (const { id: _, ...system } of parseOvf(ovf.descriptor.bytes, ovf.descriptor.label)) {
    const disks: DescribedDisk[] = [];
    for (const disk of system.disks) disks.push(await describeDisk({ ovf, disk, options }));
    machines.push(buildMachine({ ...system, identity: await identityOf(ovf.path, system.name), disks }));
  }
  if (ovf.manifest !== null) {
    const { signal, verdicts, onManifestProgress: onProgress } = options;
    const { findFile } = ovf;
    await checkManifest({ ...ovf.manifest, findFile, verdicts, signal, onProgress });
  }
  return machines;
}

type Described = { ovf: OvfPackage; options: ReadOptions };

async function describeDisk({
  ovf,
  disk,
  options,
}: Described & { disk: OvfAttachedDisk }): Promise<DescribedDisk> {
  const { boots, file } = disk;
  if (file === null) return { ...blankDisk({ ovf, disk }), boots };
  const capacityBytes = disk.capacity?.bytes ?? null;
  const place = await locate(ovf, file);
  const found = await describeDiskFile({ ...place, capacityBytes }, options);
  refuseOversize({ ovf, disk, file, bytes: found.bytes });
  return { ...found, boots };
}

function blankDisk({ ovf, disk }: { ovf: OvfPackage; disk: OvfDisk }): Omit<DescribedDisk, 'boots'> {
  const label = `${ovf.descriptor.label}, line ${disk.line}`;
  const bytes = checkDiskBytes({ label, bytes: disk.capacity?.bytes ?? 0 });
  const image = { bytes, layout: { kind: 'blank' } } as const;
  return { bytes, format: 'blank', file: null, content: { kind: 'image', image } };
}

async function locate(ovf: OvfPackage, file: OvfFile) {
  const place = await ovf.findFile(file.name);
  if (place !== null) return place;
  throw missingImage({
    label: `${ovf.descriptor.label}, line ${file.line}`,
    found: `it names the disk file ${file.name}, and there is no such file`,
    remedy: `Put ${file.name} beside the descriptor. ${COPY_AGAIN}`,
    context: { file: ovf.path, member: file.name, line: file.line },
  });
}

/** A capacity may be rounded down to its unit; a file with a larger disk is not the one that was exported. */
function refuseOversize(found: { ovf: OvfPackage; disk: OvfDisk; file: OvfFile; bytes: number }): void {
  const { ovf, disk, file, bytes } = found;
  const { capacity } = disk;
  if (capacity === null || bytes < capacity.bytes + capacity.unitBytes) return;
  throw ovfFault(ovf.descriptor, {
    line: disk.line,
    found: `disk ${disk.id} has a capacity of ${capacity.bytes} bytes, but ${file.name} holds a disk of ${bytes}`,
    remedy: 'See that the file belongs to this descriptor, or export the machine again.',
  });
}
