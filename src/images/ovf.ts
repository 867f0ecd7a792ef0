/**
 * Reads an OVF descriptor (DSP0243): its virtual systems with their hardware, disks in bus order. Pure; the files that
 * it names are not looked at. Also understands what VMware and VirtualBox add in their own namespaces.
 */
import type { LandfallError } from '../domain/errors.ts';
import { isBasename } from './ova.ts';
import {
  EXPORT_AGAIN,
  type OvfDisk,
  type OvfFile,
  type OvfReader,
  type OvfSystem,
  ovfFault,
} from './ovf-document.ts';
import { readHardware } from './ovf-hardware.ts';
import { unitBytes } from './ovf-units.ts';
import { parseXml, type XmlElement } from './ovf-xml.ts';
import { corruptImage, hostileImage, unreadableImage } from './refusal.ts';

/** `label` names the descriptor in messages. Throws `image-corrupt`, `image-hostile` or `image-unreadable` with the line. */
export function parseOvf(bytes: Buffer, label: string): OvfSystem[] {
  const envelope = parseXml({ bytes, label, root: 'Envelope' });
  const files = readFiles(envelope, label);
  const disks = readDisks({ envelope, files, label });
  const reader: OvfReader = { label, disks, files, configuration: defaultConfiguration(envelope) };
  const elements = systemElements(envelope);
  if (elements.length === 0) {
    throw corruptImage({
      label,
      found: 'it describes no virtual system',
      remedy: 'Export the machine again as OVF.',
    });
  }
  return uniqueByName({ elements, systems: elements.map((element) => readSystem(element, reader)), label });
}

function readFiles(envelope: XmlElement, label: string): Map<string, OvfFile> {
  const files = new Map<string, OvfFile>();
  const references = envelope.child('References')?.children('File') ?? [];
  for (const element of references) {
    const id = element.attribute('id') ?? '';
    if (files.has(id)) {
      throw ovfFault(
        { label },
        { line: element.line, found: `a second file has the id ${id}`, remedy: EXPORT_AGAIN },
      );
    }
    files.set(id, readFile(element, label));
  }
  return files;
}

function readFile(element: XmlElement, label: string): OvfFile {
  const { line } = element;
  const name = decodeHref(element.attribute('href') ?? '');
  const at = `${label}, line ${line}`;
  if (!isBasename(name)) {
    throw hostileImage({
      label: at,
      found: `the file ${JSON.stringify(name)} is no plain name beside the descriptor, so taking it could read any file of this host`,
      remedy: 'Put the file beside the descriptor and name it by its plain name.',
      context: { file: label, line },
    });
  }
  if (element.attribute('chunkSize') !== null) {
    throw unreadableImage({
      label: at,
      found: `${name} is split into chunks`,
      remedy: `Join them (\`cat ${name}.0* > ${name}\`), remove the attribute chunkSize and the manifest, then try again.`,
      context: { file: label, line, member: name },
    });
  }
  const compression = (element.attribute('compression') ?? 'identity').toLowerCase();
  if (compression !== 'gzip' && compression !== 'identity' && compression !== '') {
    throw unreadableImage({
      label: at,
      found: `${name} is compressed with ${compression}, and only gzip is known`,
      remedy: 'Export the machine again, uncompressed or with gzip.',
      context: { file: label, line, member: name },
    });
  }
  return { name, isCompressed: compression === 'gzip', line };
}

/** An href is a URI reference; some writers leave spaces and percent signs as they are. */
function decodeHref(href: string): string {
  try {
    return decodeURIComponent(href.startsWith('./') ? href.slice(2) : href);
  } catch {
    return href;
  }
}

function readDisks({
  envelope,
  files,
  label,
}: {
  envelope: XmlElement;
  files: ReadonlyMap<string, OvfFile>;
  label: string;
}): Map<string, OvfDisk> {
  const disks = new Map<string, OvfDisk>();
  const sections = [...envelope.children('DiskSection'), ...envelope.children('Section')];
  for (const element of sections.flatMap((section) => section.children('Disk'))) {
    const id = element.attribute('diskId') ?? '';
    const fault = (found: string, remedy = EXPORT_AGAIN): LandfallError =>
      ovfFault({ label }, { line: element.line, found, remedy });
    if (id === '') throw fault('a disk has no diskId');
    if (disks.has(id)) throw fault(`a second disk has the diskId ${id}`);
    if (element.attribute('parentRef') !== null) {
      throw fault(
        `disk ${id} holds only the difference to another disk`,
        'Consolidate the snapshots of the machine, then export it again.',
      );
    }
    const fileRef = element.attribute('fileRef') ?? '';
    const file = fileRef === '' ? null : files.get(fileRef);
    if (file === undefined)
      throw fault(`disk ${id} refers to the file ${fileRef}, which References do not list`);
    const capacity = readCapacity(element, fault);
    if (file === null && capacity === null) throw fault(`disk ${id} has neither a file nor a capacity`);
    disks.set(id, { id, file, capacity, line: element.line });
  }
  return disks;
}

function readCapacity(element: XmlElement, fault: (found: string) => LandfallError): OvfDisk['capacity'] {
  const text = element.attribute('capacity') ?? '';
  if (text === '') return null;
  if (!/^\d+$/.test(text)) throw fault(`the capacity ${JSON.stringify(text)} is no number`);
  const unitText = element.attribute('capacityAllocationUnits') ?? '';
  const unit = unitText === '' ? 1 : unitBytes(unitText);
  if (unit === null)
    throw fault(`the capacity is given in ${JSON.stringify(unitText)}, which is no unit of bytes`);
  const bytes = Number(text) * unit;
  if (!Number.isSafeInteger(bytes)) throw fault(`the capacity of ${text} × ${unit} bytes is absurd`);
  return { bytes, unitBytes: unit };
}

/** Items may belong to deployment options; the default one is taken, as importers do when nobody chooses. */
function defaultConfiguration(envelope: XmlElement): string | null {
  const options = envelope.child('DeploymentOptionSection')?.children('Configuration') ?? [];
  const chosen = options.find((option) => option.attribute('default') === 'true') ?? options[0];
  return chosen?.attribute('id') ?? null;
}

function systemElements(element: XmlElement): XmlElement[] {
  const inner = element.children('VirtualSystemCollection').flatMap(systemElements);
  return [...element.children('VirtualSystem'), ...inner];
}

function readSystem(element: XmlElement, reader: OvfReader): OvfSystem {
  const id = element.attribute('id') ?? '';
  const name = element.child('Name')?.text || id;
  if (name === '') {
    const found = 'a virtual system has neither a name nor an id';
    throw ovfFault(reader, { line: element.line, found, remedy: EXPORT_AGAIN });
  }
  const uuid = element.child('Machine')?.attribute('uuid')?.replace(/[{}]/g, '').toLowerCase();
  return { name, id, uuid: uuid || null, os: readGuest(element), ...readHardware({ element, name, reader }) };
}

function readGuest(element: XmlElement): string | null {
  const section = element.child('OperatingSystemSection');
  const type = section?.attribute('osType') || section?.child('OSType')?.text || null;
  const description = section?.child('Description')?.text || null;
  // Old Windows types ("winNetStandardGuest") do not say Windows, and whoever prepares drivers must know.
  if (type !== null && description !== null && !/windows/i.test(type) && /windows/i.test(description)) {
    return `${type} (${description})`;
  }
  return type ?? description;
}

function uniqueByName({
  elements,
  systems,
  label,
}: {
  elements: readonly XmlElement[];
  systems: readonly OvfSystem[];
  label: string;
}): OvfSystem[] {
  const lines = new Map<string, number>();
  for (const [index, { name }] of systems.entries()) {
    const line = elements[index]?.line ?? 0;
    const first = lines.get(name);
    if (first !== undefined) {
      const found = `a second virtual system is called ${name}; the first is in line ${first}`;
      throw ovfFault({ label }, { line, found, remedy: 'Give one of them another Name, then try again.' });
    }
    lines.set(name, line);
  }
  return [...systems];
}
