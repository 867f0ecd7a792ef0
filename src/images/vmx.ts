/** Reads a `.vmx`, VMware's own description of a machine: `key = "value"` lines. Pure. */
import { LandfallError } from '../domain/errors.ts';
import type { Firmware, Nic } from '../domain/machine.ts';
import { normalizeMac } from './mac-address.ts';
import { corruptImage, hostileImage, unreadableImage } from './refusal.ts';
import { parseVmxLines, type VmxSettings } from './vmx-settings.ts';

export type VmxMachine = {
  /** null: it is called as its file. */
  name: string | null;
  uuid: string | null;
  firmware: Firmware;
  secureBoot: boolean;
  cpus: number;
  memoryBytes: number;
  os: string | null;
  /** In bus order; exactly one boots. */
  disks: readonly VmxDisk[];
  nics: readonly Nic[];
};

export type VmxDisk = {
  /** For example `scsi0:0`. */
  place: string;
  /** As written; the caller checks that it stays in the folder. */
  file: string;
  /** In the description, from 1. */
  line: number;
  boots: boolean;
};

/** System disks sit on SCSI wherever VMware's defaults were kept, and a second kind of bus holds later additions. */
const BUSES = ['scsi', 'nvme', 'sata', 'ide'];
const MIB = 2 ** 20;

/** `label` names the file in messages. Throws `image-…` errors with the line, `source-not-off` where it is suspended. */
export function parseVmx(bytes: Buffer, label: string): VmxMachine {
  const settings = parseVmxLines(bytes, label);
  refuseStates(settings, label);
  const isUefi = settings.value('firmware')?.toLowerCase() === 'efi';
  return {
    name: settings.value('displayName') || null,
    uuid: normalizeUuid(settings.value('uuid.bios') ?? ''),
    firmware: isUefi ? 'uefi' : 'bios',
    secureBoot: isUefi && settings.isTrue('uefi.secureBoot.enabled'),
    cpus: readCount({ settings, label, key: 'numvcpus', fallback: 1 }),
    memoryBytes: readCount({ settings, label, key: 'memSize', fallback: null }) * MIB,
    os: readGuest(settings),
    disks: readDisks(settings, label),
    nics: readNics(settings),
  };
}

function refuseStates(settings: VmxSettings, label: string): void {
  if (settings.value('checkpoint.vmState')) {
    throw new LandfallError({
      code: 'source-not-off',
      message: `Cannot take ${label}: the machine is suspended (checkpoint.vmState), so its disks are not complete without its memory. Resume it and shut it down.`,
      context: { image: label },
    });
  }
  if (settings.value('encryption.keySafe')) {
    throw unreadableImage({
      label,
      found: 'the machine is encrypted',
      remedy: 'Remove the encryption in VMware, then try again.',
    });
  }
}

function readCount(wanted: {
  settings: VmxSettings;
  label: string;
  key: string;
  fallback: number | null;
}): number {
  const { settings, label, key, fallback } = wanted;
  const text = settings.value(key);
  if (text === null && fallback !== null) return fallback;
  const count = Number(text);
  if (text !== null && Number.isSafeInteger(count) && count > 0 && count < 2 ** 31) return count;
  throw corruptImage({
    label,
    found:
      text === null ? `it has no ${key}` : `line ${settings.line(key)}: ${key} is ${JSON.stringify(text)}`,
    remedy: `Set ${key} to a number.`,
    context: { key },
  });
}

function readGuest(settings: VmxSettings): string | null {
  const guest = settings.value('guestOS');
  if (guest === null || guest === '') return null;
  // "winnetstandard", "longhorn": whoever prepares drivers must know that these are Windows.
  return /^(win|longhorn)/i.test(guest) && !/windows/i.test(guest) ? `${guest} (Windows)` : guest;
}

function readDisks(settings: VmxSettings, label: string): VmxDisk[] {
  const found = settings
    .keys()
    .map((key) => /^(scsi|nvme|sata|ide)(\d+):(\d+)\.filename$/.exec(key))
    .filter((match) => match !== null)
    .map(([, bus = '', controller = '', unit = '']) => ({
      place: `${bus}${controller}:${unit}`,
      keys: [BUSES.indexOf(bus), Number(controller), Number(unit)] as const,
    }))
    .filter(({ place }) => isDisk(settings, place, label))
    .sort((one, other) => compare(one.keys, other.keys));
  if (found.length === 0) {
    throw corruptImage({
      label,
      found: 'it has no disk, so there is nothing to move',
      remedy: 'Name the machine that holds the disks.',
    });
  }
  const order = (settings.value('bios.hddOrder') ?? '').toLowerCase().split(/[,\s]+/);
  const first = order.find((place) => found.some((disk) => disk.place === place)) ?? found[0]?.place;
  return found.map(({ place }) => ({
    place,
    file: settings.value(`${place}.fileName`) ?? '',
    line: settings.line(`${place}.fileName`),
    boots: place === first,
  }));
}

function isDisk(settings: VmxSettings, place: string, label: string): boolean {
  if (!settings.isTrue(`${place}.present`)) return false;
  const type = settings.value(`${place}.deviceType`)?.toLowerCase() ?? '';
  const file = settings.value(`${place}.fileName`) ?? '';
  if (type === '' || type === 'disk' || type.endsWith('harddisk')) return !/\.iso$/i.test(file);
  if (/cdrom|floppy/.test(type)) return false;
  throw hostileImage({
    label,
    found: `${place} is a ${type}, which reads a device of its host and no file`,
    remedy: 'Copy it into a virtual disk, or remove it from the machine.',
    context: { place },
  });
}

function readNics(settings: VmxSettings): Nic[] {
  return settings
    .keys()
    .map((key) => /^ethernet(\d+)\.present$/.exec(key)?.[1])
    .filter((number) => number !== undefined)
    .sort((one, other) => Number(one) - Number(other))
    .map((number) => `ethernet${number}`)
    .filter((nic) => settings.isTrue(`${nic}.present`))
    .map((nic) => ({
      network:
        settings.value(`${nic}.networkName`) ||
        settings.value(`${nic}.vnet`) ||
        settings.value(`${nic}.connectionType`) ||
        null,
      model: settings.value(`${nic}.virtualDev`) || null,
      mac: normalizeMac(settings.value(`${nic}.address`) || settings.value(`${nic}.generatedAddress`) || ''),
    }));
}

/** VMware writes `56 4d 8f aa bb cc dd ee-ff 00 11 22 33 44 55 66`. */
function normalizeUuid(text: string): string | null {
  const digits = text.toLowerCase().replace(/[\s-]/g, '');
  if (!/^[0-9a-f]{32}$/.test(digits)) return null;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((key, index) => key !== other[index]);
  return at === -1 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}
