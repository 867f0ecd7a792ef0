/** Reads a domain's XML as libvirt prints it. Pure. Elements: https://libvirt.org/formatdomain.html */
import type { Firmware, Nic } from '../../../src/domain/machine.ts';
import { normalizeMac } from '../../../src/images/mac-address.ts';
import { parseXml, type XmlElement } from '../../../src/images/ovf-xml.ts';
import { unreadableImage } from '../../../src/images/refusal.ts';
import { readDisks } from './disk-xml.ts';
import type { Domain } from './domain.ts';

/** What the `unit` of a size may be; without one it is KiB. Powers of 1000 end in B, powers of 1024 in iB or stand alone. */
const UNIT_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1e3,
  k: 2 ** 10,
  KiB: 2 ** 10,
  MB: 1e6,
  M: 2 ** 20,
  MiB: 2 ** 20,
  GB: 1e9,
  G: 2 ** 30,
  GiB: 2 ** 30,
  TB: 1e12,
  T: 2 ** 40,
  TiB: 2 ** 40,
};

/** `label` names the domain in messages. Throws `image-corrupt`, `image-hostile` or `image-unreadable`. */
export function readDomainXml(xml: string, label: string): Domain {
  const root = parseXml({ bytes: Buffer.from(xml), label, root: 'domain' });
  const devices = root.child('devices');
  const os = root.child('os');
  const firmware = readFirmware(os);
  return {
    uuid: textOf(root, 'uuid', label).toLowerCase(),
    name: textOf(root, 'name', label),
    firmware,
    secureBoot: firmware === 'uefi' && hasSecureBoot(os),
    nvram: firmware === 'uefi' ? os?.child('nvram')?.text || null : null,
    tpm: readTpm(devices),
    cpus: readCpus(root, label),
    memoryBytes: readMemoryBytes(root, label),
    os: readOs(root.child('metadata')),
    tags: readTags(root),
    looksLikeWindows: looksLikeWindows(root),
    ...readDisks(root),
    nics: (devices?.children('interface') ?? []).map(readNic),
    passedThrough: listPassedThrough(root),
    staysOff: (root.child('on_poweroff')?.text || 'destroy') === 'destroy',
  };
}

/** `firmware='efi'` lets libvirt choose; older domains name the loader, and a flash loader is always UEFI's. */
function readFirmware(os: XmlElement | null): Firmware {
  const chosen = os?.attribute('firmware');
  if (chosen === 'efi') return 'uefi';
  if (chosen === 'bios') return 'bios';
  const loader = os?.child('loader') ?? null;
  if (loader === null) return 'bios';
  const isUefi = loader.attribute('type') === 'pflash' || /ovmf|edk2|aavmf|uefi/i.test(loader.text);
  return isUefi ? 'uefi' : 'bios';
}

function hasSecureBoot(os: XmlElement | null): boolean {
  const feature = (os?.child('firmware')?.children('feature') ?? []).find(
    (each) => each.attribute('name') === 'secure-boot',
  );
  if (feature !== undefined) return feature.attribute('enabled') === 'yes';
  return os?.child('loader')?.attribute('secure') === 'yes';
}

function readTpm(devices: XmlElement | null): string | null {
  const tpm = devices?.child('tpm') ?? null;
  return tpm === null ? null : (tpm.attribute('model') ?? 'tpm');
}

/** `current` are plugged in, of the most that may be. */
function readCpus(root: XmlElement, label: string): number {
  const vcpu = root.child('vcpu');
  const text = vcpu?.attribute('current') ?? vcpu?.text ?? '1';
  return wholeNumber(text, { label, what: 'processors' });
}

/** `currentMemory` is what the balloon leaves to the guest, of the most that it may have. */
function readMemoryBytes(root: XmlElement, label: string): number {
  const memory = root.child('currentMemory') ?? root.child('memory');
  const unit = UNIT_BYTES[memory?.attribute('unit') ?? 'KiB'];
  if (unit === undefined) throw strange(label, `its memory is in ${memory?.attribute('unit')}`);
  return wholeNumber(memory?.text ?? '', { label, what: 'memory' }) * unit;
}

/** `http://microsoft.com/win/2k22` is "windows/2k22", `http://debian.org/debian/12` is "debian/12". */
function readOs(metadata: XmlElement | null): string | null {
  const id = metadata?.child('libosinfo')?.child('os')?.attribute('id') ?? null;
  if (id === null) return null;
  const [, host = '', path = ''] = /^https?:\/\/([^/]+)\/(.+)$/.exec(id) ?? [];
  if (path === '') return id;
  return host === 'microsoft.com' ? path.replace(/^win\b/, 'windows') : path;
}

/**
 * libvirt knows no tags. Words that begin with `#` in title and description are what anybody can see and set
 * (`virsh desc`); the words of an element `tags` in the metadata are for tools that must not touch what people wrote.
 */
function readTags(root: XmlElement): string[] {
  const prose = ['title', 'description'].map((name) => root.child(name)?.text ?? '').join(' ');
  const marked = [...prose.matchAll(/(?<=^|\s)#(\p{L}[\p{L}\p{N}_.:=/-]*)/gu)].map(([, tag = '']) =>
    tag.replace(/[.:]+$/, ''),
  );
  const listed = (root.child('metadata')?.child('tags')?.text ?? '').split(/[\s,]+/).filter(Boolean);
  return [...new Set([...marked, ...listed])];
}

function looksLikeWindows(root: XmlElement): boolean {
  const hyperv = root.child('features')?.child('hyperv') ?? null;
  return hyperv !== null || root.child('clock')?.attribute('offset') === 'localtime';
}

function readNic(nic: XmlElement): Nic {
  const source = nic.child('source');
  const mac = nic.child('mac')?.attribute('address');
  return {
    network: source?.attribute('network') ?? source?.attribute('bridge') ?? source?.attribute('dev') ?? null,
    model: nic.child('model')?.attribute('type') ?? null,
    mac: mac == null ? null : normalizeMac(mac),
  };
}

function listPassedThrough(root: XmlElement): string[] {
  const devices = (root.child('devices')?.children('hostdev') ?? []).map(
    (device) => `a ${device.attribute('type') ?? 'host'} device of its host`,
  );
  return root.child('commandline') === null ? devices : [...devices, 'arguments of qemu by hand'];
}

function textOf(root: XmlElement, name: string, label: string): string {
  const text = root.child(name)?.text ?? '';
  if (text === '') throw strange(label, `it has no ${name}`);
  return text;
}

function wholeNumber(text: string, { label, what }: { label: string; what: string }): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw strange(label, `it has ${JSON.stringify(text)} as ${what}`);
}

function strange(label: string, found: string) {
  return unreadableImage({ label, found, remedy: 'Look at `virsh dumpxml --inactive` of it.' });
}
