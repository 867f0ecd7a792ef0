/** The machine at the source, as a source adapter understood it. */

export type Firmware = 'bios' | 'uefi';

export type DiskFormat = 'raw' | 'qcow2' | 'vmdk' | 'vhd' | 'vhdx' | 'blank';

export type Disk = {
  /** The disk's place in bus order, from "0". Stable for the machine's life in a run. */
  id: string;
  /** Virtual size. */
  bytes: number;
  format: DiskFormat;
  /** Where its bytes are: an absolute path, `archive.ova!member` for a member read in place, null when blank. */
  file: string | null;
  /** Exactly one disk of a machine boots it. */
  boots: boolean;
  /** What its source must write into staging before it can be read. Left out: nothing. */
  unpackedBytes?: number;
};

export type Nic = {
  network: string | null;
  model: string | null;
  mac: string | null;
};

/** What a machine needs and its source may leave unsaid. */
export type AssumedFact = 'firmware' | 'cpus' | 'memoryBytes';

export type Machine = {
  /** Unique in a wave. */
  name: string;
  /** The source's own id for it, where it has one. */
  uuid: string | null;
  /** Names this machine across waves (source, site, uuid or path): at most one live run holds it. */
  identity: string;
  firmware: Firmware;
  secureBoot: boolean;
  cpus: number;
  memoryBytes: number;
  /** The guest as its source describes it, for example "debian12_64Guest"; null when unknown. */
  os: string | null;
  disks: readonly Disk[];
  nics: readonly Nic[];
  /** On which it runs at its source; null where that is no host. */
  host?: string | null;
  /** As people marked it at its source. */
  tags?: readonly string[];
  /** What neither the source nor the wave says, so that a default stands there. Left out: nothing. */
  assumed?: readonly AssumedFact[];
};

/** Windows guests need their drivers injected by the target (import-image). */
export function isWindows(machine: Machine): boolean {
  return machine.os !== null && /windows/i.test(machine.os);
}

export function bootDisk(machine: Machine): Disk {
  const disk = machine.disks.find((candidate) => candidate.boots);
  if (disk === undefined) throw new TypeError(`machine ${machine.name} has no disk that boots`);
  return disk;
}
