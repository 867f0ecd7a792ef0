/** A domain as the machine that Landfall moves. */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Disk, Machine } from '../../../src/domain/machine.ts';
import { unreadableImage } from '../../../src/images/refusal.ts';
import { type Domain, type DomainDisk, FORMATS } from './domain.ts';
import type { FoundDomain } from './inventory.ts';

/** Throws `image-unreadable` where it has a disk in a format that Landfall does not read. */
export function describeMachine(found: FoundDomain, os: string | undefined): Machine {
  const { domain, host } = found;
  return {
    name: domain.name,
    uuid: domain.uuid,
    // Not the host: a domain that was moved to another one is the same machine.
    identity: `libvirt:${domain.uuid}`,
    firmware: domain.firmware,
    secureBoot: domain.secureBoot,
    cpus: domain.cpus,
    memoryBytes: domain.memoryBytes,
    os: os ?? domain.os,
    disks: domain.disks.map((disk, index) => describeDisk(found, { disk, id: String(index) })),
    nics: domain.nics,
    host,
    tags: domain.tags,
  };
}

/** How messages call a disk: "web01 disk 0 (vda)". */
export function labelOf({ name, disks }: Domain, disk: DomainDisk): string {
  return `${name} disk ${disks.indexOf(disk)} (${disk.target})`;
}

function describeDisk(
  { domain, capacities }: FoundDomain,
  { disk, id }: { disk: DomainDisk; id: string },
): Disk {
  const bytes = capacities.get(disk.target);
  const format = FORMATS[disk.format];
  const label = labelOf(domain, disk);
  const file = nameOfSource(disk);
  if (format === undefined) {
    throw unreadableImage({
      label,
      found: `its format is ${disk.format}, which Landfall does not read`,
      remedy: `While the machine is off: \`qemu-img convert -O qcow2\`, then change the disk with \`virsh edit ${domain.name}\`.`,
    });
  }
  if (bytes === undefined) {
    throw new LandfallError({
      code: 'image-missing',
      message: `Cannot take ${label}: libvirt cannot tell the size of ${file}. See whether \`virsh domblkinfo ${domain.name} ${disk.target}\` says why: its storage may be away.`,
      context: { image: file },
    });
  }
  return { id, bytes, format, file, boots: disk.boots };
}

/** As an operator knows it: a path, or pool and volume. */
export function nameOfSource({ source }: DomainDisk): string {
  switch (source.kind) {
    case 'file':
    case 'block':
      return source.path;
    case 'volume':
      return `${source.pool}/${source.volume}`;
    case 'other':
      return source.what;
    default:
      return source satisfies never;
  }
}
