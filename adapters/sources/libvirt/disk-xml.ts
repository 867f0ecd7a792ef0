/** The disks of a domain's XML. https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms */
import type { XmlElement } from '../../../src/images/ovf-xml.ts';
import type { DiskSource, DomainDisk, LeftOut, NamedFile } from './domain.ts';

/** Deeper chains than qemu itself takes (`BDRV_MAX_DEPTH` of libvirt is 200) say that something is wrong. */
const MAX_CHAIN = 64;

/** libvirt prints disks by bus, in the order of their targets, and so does this. */
export function readDisks(root: XmlElement): { disks: DomainDisk[]; leftOut: LeftOut[] } {
  const drives = root.child('devices')?.children('disk') ?? [];
  const leftOut = drives.flatMap((drive) => whyLeftOut(drive) ?? []);
  const taken = drives.filter((drive) => whyLeftOut(drive) === null);
  const booting = bootingDrive(taken);
  return { disks: taken.map((drive) => ({ ...readDisk(drive), boots: drive === booting })), leftOut };
}

function whyLeftOut(drive: XmlElement): LeftOut | null {
  const device = drive.attribute('device') ?? 'disk';
  const target = targetOf(drive);
  if (device !== 'cdrom' && device !== 'floppy') return null;
  const medium = drive.child('source')?.attribute('file') ?? null;
  const what = device === 'cdrom' ? 'CD drive' : 'floppy drive';
  const why = medium === null ? 'it is empty' : `its medium ${medium} is no part of the machine`;
  return { target, what, why };
}

/** A boot order of its own on devices, else the first disk: what `<boot dev='hd'/>` means to libvirt. */
function bootingDrive(drives: readonly XmlElement[]): XmlElement | undefined {
  const orders = drives.map((drive) => Number(drive.child('boot')?.attribute('order') ?? Infinity));
  const first = Math.min(...orders);
  return drives[orders.indexOf(first)] ?? drives[0];
}

function readDisk(drive: XmlElement): Omit<DomainDisk, 'boots'> {
  const device = drive.attribute('device') ?? 'disk';
  return {
    target: targetOf(drive),
    bus: drive.child('target')?.attribute('bus') ?? null,
    source: device === 'disk' ? readSource(drive) : { kind: 'other', what: `a ${device} of its host` },
    // Without a word of the format libvirt reads raw: a guest could write any header onto its disk.
    format: drive.child('driver')?.attribute('type') ?? 'raw',
    backing: readBacking(drive),
    isReadOnly: drive.child('readonly') !== null,
    isShareable: drive.child('shareable') !== null,
    isTransient: drive.child('transient') !== null,
    isEncrypted: drive.child('encryption') !== null || drive.child('source')?.child('encryption') != null,
  };
}

function targetOf(drive: XmlElement): string {
  return drive.child('target')?.attribute('dev') ?? '?';
}

function readSource(drive: XmlElement): DiskSource {
  const source = drive.child('source');
  const type = drive.attribute('type') ?? 'file';
  if (source?.child('slices') != null) return { kind: 'other', what: 'a slice of a file' };
  switch (type) {
    case 'file':
      return ifNamed(source?.attribute('file'), (path) => ({ kind: 'file', path }));
    case 'block':
      return ifNamed(source?.attribute('dev'), (path) => ({ kind: 'block', path }));
    case 'volume': {
      const pool = source?.attribute('pool') ?? '';
      return ifNamed(source?.attribute('volume'), (volume) => ({ kind: 'volume', pool, volume }));
    }
    case 'network':
      return { kind: 'other', what: `${source?.attribute('protocol') ?? 'network'} storage` };
    default:
      return { kind: 'other', what: `storage of the type ${type}` };
  }
}

function ifNamed(name: string | null | undefined, to: (name: string) => DiskSource): DiskSource {
  return name == null || name === '' ? { kind: 'other', what: 'no medium at all' } : to(name);
}

/** An empty `<backingStore/>` ends the chain; none at all leaves it to the image's header. */
function readBacking(drive: XmlElement): NamedFile[] | null {
  let store = drive.child('backingStore');
  if (store === null) return null;
  const chain: NamedFile[] = [];
  while (store !== null && store.attribute('type') !== null && chain.length < MAX_CHAIN) {
    const source = store.child('source');
    chain.push({
      path: source?.attribute('file') ?? source?.attribute('dev') ?? '',
      format: store.child('format')?.attribute('type') ?? 'raw',
    });
    store = store.child('backingStore');
  }
  return chain;
}
