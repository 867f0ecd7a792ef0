/** The virtual hardware of one system in an OVF descriptor. Fields: CIM_ResourceAllocationSettingData (DSP0243, 8.1). */
import type { LandfallError } from '../domain/errors.ts';
import type { Firmware, Nic } from '../domain/machine.ts';
import { normalizeMac } from './mac-address.ts';
import {
  EXPORT_AGAIN,
  type OvfAttachedDisk,
  type OvfDisk,
  type OvfReader,
  type OvfSystem,
  ovfFault,
} from './ovf-document.ts';
import { unitBytes } from './ovf-units.ts';
import type { XmlElement } from './ovf-xml.ts';

export type OvfHardware = Pick<
  OvfSystem,
  'firmware' | 'secureBoot' | 'cpus' | 'memoryBytes' | 'disks' | 'nics'
>;

/** CIM resource types. NVMe has none of its own: it is 20 with a subtype that says so. */
const RESOURCE = { cpu: '3', memory: '4', nic: '10', disk: '17' };
/** StorageItem and EthernetPortItem are OVF 2's names for what is an Item in OVF 1. */
const ITEM_ELEMENTS = ['Item', 'StorageItem', 'EthernetPortItem'];
/** What OVF 0.9 writers meant when they named no unit. */
const DEFAULT_MEMORY_UNIT_BYTES = 2 ** 20;

type System = { element: XmlElement; name: string; reader: OvfReader };
type Item = { element: XmlElement; field(name: string): string; type: string; id: string };

export function readHardware(system: System): OvfHardware {
  const section = system.element.child('VirtualHardwareSection');
  if (section === null) throw fault(system, `${system.name} has no VirtualHardwareSection`);
  const items = selectItems(section, system.reader);
  return {
    ...readFirmware(system.element, section),
    cpus: readCpus(items, system),
    memoryBytes: readMemory(items, system),
    disks: readDisks({ items, section, system }),
    nics: items.filter(({ type }) => type === RESOURCE.nic).map(readNic),
  };
}

/** Items of other deployment options and bounds are left out; of two with one id the chosen option's counts. */
function selectItems(section: XmlElement, { configuration }: OvfReader): Item[] {
  const items = new Map<string, Item>();
  const elements = ITEM_ELEMENTS.flatMap((name) => section.children(name));
  elements.sort((one, other) => one.line - other.line);
  for (const [index, element] of elements.entries()) {
    const only = element.attribute('configuration')?.split(/\s+/).filter(Boolean) ?? [];
    if (only.length > 0 && (configuration === null || !only.includes(configuration))) continue;
    if (element.attribute('bound') !== null) continue;
    const field = (name: string): string => element.child(name)?.text ?? '';
    const id = field('InstanceID') || field('InstanceId');
    items.set(id || `item ${index}`, { element, field, type: field('ResourceType'), id });
  }
  return [...items.values()];
}

function readFirmware(system: XmlElement, section: XmlElement): { firmware: Firmware; secureBoot: boolean } {
  const settings = [section, system].flatMap((element) => [
    ...element.children('Config'),
    ...element.children('ExtraConfig'),
  ]);
  const setting = (key: string): string | undefined =>
    settings
      .find((element) => element.attribute('key') === key)
      ?.attribute('value')
      ?.toLowerCase();
  const virtualBox = system.child('Machine')?.child('Hardware')?.child('Firmware')?.attribute('type') ?? '';
  const isUefi = setting('firmware') === 'efi' || /^efi/i.test(virtualBox);
  const secureBoot = setting('bootOptions.efiSecureBootEnabled') ?? setting('uefi.secureBoot.enabled');
  return { firmware: isUefi ? 'uefi' : 'bios', secureBoot: isUefi && secureBoot === 'true' };
}

function readCpus(items: readonly Item[], system: System): number {
  return readQuantity({ items, type: RESOURCE.cpu, what: 'processors', system }).reduce(
    (sum, { quantity }) => sum + quantity,
    0,
  );
}

function readMemory(items: readonly Item[], system: System): number {
  let totalBytes = 0;
  for (const { quantity, item } of readQuantity({ items, type: RESOURCE.memory, what: 'memory', system })) {
    const text = item.field('AllocationUnits');
    const unit = text === '' ? DEFAULT_MEMORY_UNIT_BYTES : unitBytes(text);
    if (unit === null) {
      throw itemFault(system, item, `memory is given in ${JSON.stringify(text)}, which is no unit of bytes`);
    }
    totalBytes += quantity * unit;
  }
  return totalBytes;
}

function readQuantity(wanted: { items: readonly Item[]; type: string; what: string; system: System }) {
  const { items, type, what, system } = wanted;
  const found = items.filter((item) => item.type === type);
  if (found.length === 0) throw fault(system, `${system.name} says nothing of its ${what}`);
  return found.map((item) => {
    const quantity = Number(item.field('VirtualQuantity'));
    if (Number.isSafeInteger(quantity) && quantity > 0 && quantity < 2 ** 31) return { item, quantity };
    const said = JSON.stringify(item.field('VirtualQuantity'));
    throw itemFault(system, item, `the quantity of its ${what} is ${said}`);
  });
}

function readNic({ field }: Item): Nic {
  return {
    network: field('Connection') || null,
    model: field('ResourceSubType') || null,
    mac: normalizeMac(field('Address')),
  };
}

function readDisks(at: { items: readonly Item[]; section: XmlElement; system: System }): OvfAttachedDisk[] {
  const { items, section, system } = at;
  const drives = inBusOrder(items).map((item) => ({ item, disk: diskOf(item, system) }));
  if (drives.length === 0) throw fault(system, `${system.name} has no disk, so there is nothing to move`);
  const seen = new Set<string>();
  for (const { item, disk } of drives) {
    if (seen.has(disk.id)) throw itemFault(system, item, `disk ${disk.id} is attached twice`);
    seen.add(disk.id);
  }
  const first = bootInstance([section, system.element]);
  const chosen = drives.find(({ item }) => item.id === first) ?? drives[0];
  return drives.map(({ item, disk }) => ({ ...disk, boots: item === chosen?.item }));
}

/** VMware's `BootOrderSection` names the instance of the disk that boots. */
function bootInstance(places: readonly XmlElement[]): string | null {
  const orders = places.flatMap((place) => place.children('BootOrderSection'));
  const disk = orders.find((order) => order.attribute('type')?.toLowerCase() === 'disk');
  return disk?.attribute('instanceId') ?? null;
}

function diskOf(item: Item, system: System): OvfDisk {
  const { reader } = system;
  const resource = item.field('HostResource');
  const [, kind, id = ''] = /^(?:ovf:)?\/{0,2}(disk|file)\/(.+)$/.exec(resource) ?? [];
  const file = kind === 'file' ? reader.files.get(id) : undefined;
  const disk =
    file === undefined ? reader.disks.get(id) : { id: `file ${id}`, file, capacity: null, line: file.line };
  if (disk !== undefined) return disk;
  const found =
    resource === ''
      ? 'a disk drive names no disk (HostResource)'
      : `the disk drive's HostResource ${JSON.stringify(resource)} is not in the DiskSection`;
  throw itemFault(system, item, found);
}

/**
 * Writers number controllers in the order in which their own firmware tries them, so kinds of controllers (SCSI, IDE …)
 * follow the least instance id of each; within a kind the controller's address counts, then the place on it.
 */
function inBusOrder(items: readonly Item[]): Item[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  const places = items
    .filter(({ type }) => type === RESOURCE.disk)
    .map((item) => ({ item, controller: byId.get(item.field('Parent')) }));
  const firstOfKind = new Map<string, number>();
  for (const { controller } of places) {
    if (controller === undefined) continue;
    const kind = kindOf(controller);
    firstOfKind.set(kind, Math.min(firstOfKind.get(kind) ?? LAST, rank(controller.id)));
  }
  const keysOf = ({ item, controller }: (typeof places)[number]): number[] => [
    controller === undefined ? LAST : (firstOfKind.get(kindOf(controller)) ?? LAST),
    rank(controller?.field('Address') ?? ''),
    rank(controller?.id ?? ''),
    rank(item.field('AddressOnParent')),
  ];
  // Equal keys keep the order of the document: the sort is stable.
  return places.sort((one, other) => compareKeys(keysOf(one), keysOf(other))).map(({ item }) => item);
}

const LAST = Number.MAX_SAFE_INTEGER;

function kindOf(controller: Item): string {
  return `${controller.type}/${/nvme/i.test(controller.field('ResourceSubType')) ? 'nvme' : ''}`;
}

function rank(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : LAST;
}

function compareKeys(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((key, index) => key !== other[index]);
  return at === -1 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}

function fault({ element, reader }: System, found: string): LandfallError {
  return ovfFault(reader, { line: element.line, found, remedy: EXPORT_AGAIN });
}

function itemFault({ name, reader }: System, item: Item, found: string): LandfallError {
  return ovfFault(reader, { line: item.element.line, found: `${name}: ${found}`, remedy: EXPORT_AGAIN });
}
