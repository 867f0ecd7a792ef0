/** A domain as its XML describes it, in libvirt's own terms. https://libvirt.org/formatdomain.html */
import type { QemuFormat } from '../../../src/domain/image.ts';
import type { Firmware, Nic } from '../../../src/domain/machine.ts';

export type Domain = {
  uuid: string;
  name: string;
  firmware: Firmware;
  secureBoot: boolean;
  /** UEFI variables, which stay behind; null with BIOS, or where libvirt has not made the file yet. */
  nvram: string | null;
  /** Model of a virtual TPM, whose contents stay behind; null: none. */
  tpm: string | null;
  cpus: number;
  memoryBytes: number;
  /** As libosinfo's note says, for example "debian/12" or "windows/2k22"; null: it has none. */
  os: string | null;
  /** As people marked it, in the order of its title, its description and its metadata. */
  tags: readonly string[];
  /** Features that only Windows guests are given. */
  looksLikeWindows: boolean;
  /** In bus order. */
  disks: readonly DomainDisk[];
  /** Drives and devices that hold nothing to migrate, each with the reason. */
  leftOut: readonly LeftOut[];
  nics: readonly Nic[];
  /** PCI and USB devices of the host that the guest uses, and what was passed to qemu by hand. */
  passedThrough: readonly string[];
  /** Does it stay off when the guest turns itself off? */
  staysOff: boolean;
};

export type LeftOut = { target: string; what: string; why: string };

export type DomainDisk = {
  /** As the domain names it: "vda". */
  target: string;
  bus: string | null;
  source: DiskSource;
  /** What the domain says; qemu reads nothing but this format, whatever the bytes look like. */
  format: string;
  /** The chain under it as the domain names it, from the nearest on; null: it names none, so the image's header decides. */
  backing: readonly NamedFile[] | null;
  boots: boolean;
  isReadOnly: boolean;
  isShareable: boolean;
  isTransient: boolean;
  isEncrypted: boolean;
};

export type NamedFile = { path: string; format: string };

export type DiskSource =
  | { kind: 'file'; path: string }
  | { kind: 'volume'; pool: string; volume: string }
  | { kind: 'block'; path: string }
  /** Network storage, NVMe devices, vhost-user …: what Landfall cannot read, as one would say it. */
  | { kind: 'other'; what: string };

/** libvirt's names for the formats that Landfall reads. */
export const FORMATS: Readonly<Record<string, QemuFormat>> = {
  raw: 'raw',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vpc: 'vhd',
  vhdx: 'vhdx',
};
