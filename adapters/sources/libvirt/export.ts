/** Export fixes nothing by itself: the machine is off, so its files are its state. It says which they are, judged by the guard. */
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Image, OpenImage } from '../../../src/domain/image.ts';
import type { ExportRequest } from '../../../src/domain/ports.ts';
import { corruptImage } from '../../../src/images/refusal.ts';
import { followChain } from './chain.ts';
import { namedDomain } from './control.ts';
import { locateDisk } from './disk-place.ts';
import { asDomainImage, type DomainImage } from './domain-image.ts';
import { asGone, type DomainStatus, type NamedDomain, powerStateOf, readStatus } from './domain-status.ts';
import type { ImagePlace } from './image-place.ts';
import { findDomains } from './inventory.ts';
import { nameOfSource } from './machine.ts';
import type { Virsh } from './virsh.ts';

export type Grounds = { virsh: Virsh; place: ImagePlace; backingFolders: readonly string[] };

/** Throws `source-not-off`, `source-changed`, `image-…` and what virsh.ts throws. */
export async function exportDisk(
  grounds: Grounds,
  { machine, disk: id }: ExportRequest,
  signal: AbortSignal,
): Promise<DomainImage> {
  const { virsh, place, backingFolders } = grounds;
  const named = namedDomain(machine);
  const { domain, status } = await readDomain(virsh, named, signal);
  requireOff({ virsh, domain: named, status });
  const planned = machine.disks.find((disk) => disk.id === id);
  const disk = domain.disks[Number(id)];
  if (disk === undefined || planned === undefined || nameOfSource(disk) !== planned.file) {
    throw otherDisk({ machine: machine.name, id, planned: planned?.file, now: disk && nameOfSource(disk) });
  }
  const top = await locateDisk({ virsh, place, domain, disk, signal });
  const chain = await followChain({ place, top, named: disk.backing, folders: backingFolders, signal });
  if (chain.bytes !== planned.bytes) {
    throw otherSize({ machine: machine.name, id, planned: planned.bytes, now: chain.bytes });
  }
  const file = { path: top.path, offsetBytes: 0, lengthBytes: null };
  return {
    site: null,
    bytes: chain.bytes,
    layout: { kind: 'single', format: top.format, file },
    libvirt: { uuid: domain.uuid, name: machine.name, target: disk.target, chain: chain.files },
  };
}

/** Right before it is read: still off, and the guard looks again. */
export async function openDisk(
  { virsh, place }: Grounds,
  given: Image,
  signal: AbortSignal,
): Promise<OpenImage> {
  const image = asDomainImage(given);
  const { chain, name } = image.libvirt;
  const [top, ...named] = chain;
  if (top === undefined) throw new TypeError('an image of the source libvirt has no file');
  requireOff({ virsh, domain: image.libvirt, status: await readStatus(virsh, image.libvirt, { signal }) });
  const found = await followChain({ place, top, named, folders: [], signal });
  if (found.bytes !== image.bytes) {
    throw otherSize({ machine: name, id: image.libvirt.target, planned: image.bytes, now: found.bytes });
  }
  const opened = await place.serve(image, chain, signal);
  if (opened.bytes === image.bytes) return opened;
  await opened[Symbol.asyncDispose]();
  throw corruptImage({
    label: top.path,
    found: `qemu reads a disk of ${opened.bytes} bytes from it, and its header says ${image.bytes}`,
    remedy: 'Check it with `qemu-img check`.',
  });
}

function requireOff(asked: { virsh: Virsh; domain: NamedDomain; status: DomainStatus }): void {
  const { virsh, domain, status } = asked;
  if (powerStateOf(status, domain) === 'off') return;
  throw new LandfallError({
    code: 'source-not-off',
    message: `${domain.name} is ${status.state} at ${virsh.uri}: a copy of its disks would be torn. Shut it down there, then retry.`,
    context: { machine: domain.name, state: status.state },
  });
}

async function readDomain(virsh: Virsh, domain: NamedDomain, signal: AbortSignal) {
  try {
    const [found] = await findDomains(virsh, { uuid: domain.uuid }, signal);
    if (found !== undefined) return found;
    throw new LandfallError({ code: 'not-found', message: `${domain.name} went away while it was read.` });
  } catch (error) {
    throw asGone(error, { virsh, domain });
  }
}

function otherDisk(change: {
  machine: string;
  id: string;
  planned: string | null | undefined;
  now: string | undefined;
}): LandfallError {
  const { machine, id, planned, now } = change;
  const found = now === undefined ? 'it is not there any more' : `it was ${planned} and is ${now}`;
  return new LandfallError({
    code: 'source-changed',
    message: `Export of ${machine} disk ${id} stopped: since it was planned its domain changed, ${found}. Bring its disks back as they were, or discard the machine and plan it anew.`,
    context: { machine, disk: id },
  });
}

function otherSize(change: { machine: string; id: string; planned: number; now: number }): LandfallError {
  const { machine, id, planned, now } = change;
  return new LandfallError({
    code: 'source-changed',
    message: `Export of ${machine} disk ${id} stopped: it had ${planned} bytes when it was planned, and has ${now}. Discard the machine and plan it anew.`,
    context: { machine, disk: id, planned, now },
  });
}
