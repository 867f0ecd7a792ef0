/**
 * The text of a VMDK, embedded in a sparse file or a file of its own beside its extents. Every line must be known:
 * what is not understood could name another file. Layout: VMware, "Virtual Disk Format 5.0".
 */
import { asOffset } from './disk-size.ts';
import { hostileImage, unreadableImage } from './refusal.ts';

export type VmdkDescriptor = {
  createType: string;
  extents: VmdkExtentLine[];
};

export type VmdkExtentLine = {
  sectors: number;
  type: 'SPARSE' | 'FLAT' | 'VMFS' | 'ZERO';
  /** null for ZERO. */
  file: string | null;
  /** Where a flat extent begins in its file. */
  offsetSectors: number;
};

/** qemu reads no more; no honest descriptor comes near. */
export const MAX_DESCRIPTOR_BYTES = 1024 * 1024;

const MAX_EXTENTS = 4096;
const NO_PARENT = 'ffffffff';

const SETTING =
  /^(version|encoding|cid|parentcid|createtype|isnativesnapshot|parentfilenamehint|changetrackpath|digestfilename|digesttype|iofilters)\s*=\s*(?:"([^"]*)"|([^"\s]*))$/i;
const DATABASE = /^ddb\.[\w.:-]+\s*=\s*(?:"[^"]*"|[^"\s]*)$/i;
const EXTENT = /^(RW|RDONLY)\s+(\d{1,19})\s+([A-Z]+)(?:\s+"([^"]+)"(?:\s+(\d{1,19}))?)?$/i;

const CONSOLIDATE =
  'Consolidate the snapshots of the machine (or clone it whole), then migrate the disk without a parent.';

export function isVmdkDescriptor(head: Buffer): boolean {
  return /^(?:\xef\xbb\xbf)?\s*#\s*Disk\s+DescriptorFile/i.test(head.toString('latin1'));
}

export function parseVmdkDescriptor({ bytes, label }: { bytes: Buffer; label: string }): VmdkDescriptor {
  const settings = new Map<string, string>();
  const extents: VmdkExtentLine[] = [];
  for (const [index, line] of decodeText(bytes).split(/\r?\n/).entries()) {
    const text = line.trim();
    if (text === '' || text.startsWith('#') || DATABASE.test(text)) continue;
    const setting = SETTING.exec(text);
    if (setting !== null) {
      const [, key = '', quoted, bare] = setting;
      settings.set(key.toLowerCase(), quoted ?? bare ?? '');
      continue;
    }
    const extent = EXTENT.exec(text);
    if (extent === null) throw unknownLine({ label, number: index + 1, text });
    extents.push(parseExtent(extent, { label, number: index + 1, text }));
  }
  refuseParent(settings, label);
  if (extents.length > MAX_EXTENTS) {
    throw hostileImage({
      label,
      found: `its descriptor lists ${extents.length} extents, and at most ${MAX_EXTENTS} are taken`,
      remedy: 'Convert it to one file: `qemu-img convert -O qcow2 IN OUT.qcow2`.',
    });
  }
  return { createType: settings.get('createtype') ?? '', extents };
}

type Line = { label: string; number: number; text: string };

/** The text ends at the first zero byte: writers pad it to whole sectors. */
function decodeText(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  const text = end === -1 ? bytes : bytes.subarray(0, end);
  const isWindows = /^\s*encoding\s*=\s*"?windows-1252"?\s*$/im.test(text.toString('latin1'));
  return new TextDecoder(isWindows ? 'windows-1252' : 'utf-8').decode(text);
}

function parseExtent(match: RegExpExecArray, line: Line): VmdkExtentLine {
  const [, , sectorsText = '0', typeText = '', file = null, offsetText = '0'] = match;
  const sectors = asOffset(BigInt(sectorsText), { label: line.label, what: 'an extent line' });
  const offsetSectors = asOffset(BigInt(offsetText), { label: line.label, what: 'an extent line' });
  const type = typeText.toUpperCase();
  switch (type) {
    case 'ZERO':
      return { sectors, type, file: null, offsetSectors: 0 };
    case 'SPARSE':
    case 'FLAT':
    case 'VMFS':
      if (file === null) throw unknownLine(line);
      if (isPath(file)) throw foreignExtent(line, file);
      return { sectors, type, file, offsetSectors };
    default:
      throw unreadableImage({
        label: line.label,
        found: `line ${line.number} of its descriptor lists an extent of type ${type} (a snapshot, a raw device or a newer kind)`,
        remedy: CONSOLIDATE,
      });
  }
}

function isPath(file: string): boolean {
  return /[/\\]/.test(file) || file === '.' || file === '..';
}

function refuseParent(settings: ReadonlyMap<string, string>, label: string): void {
  const parent = settings.get('parentcid')?.toLowerCase() ?? NO_PARENT;
  const hint = settings.get('parentfilenamehint') ?? '';
  if (parent === NO_PARENT && hint === '') return;
  throw hostileImage({
    label,
    found: `it is a snapshot that builds on another disk (parentCID=${parent}, parentFileNameHint=${JSON.stringify(hint)})`,
    remedy: CONSOLIDATE,
  });
}

function foreignExtent({ label, number }: Line, file: string) {
  return hostileImage({
    label,
    found: `line ${number} of its descriptor names an extent by path (${JSON.stringify(file)}), so reading it could read another file of this host`,
    remedy:
      'Put the extents into the folder of the descriptor and name them there without a path, if you trust it.',
    context: { extent: file },
  });
}

function unknownLine({ label, number, text }: Line) {
  return hostileImage({
    label,
    found: `line ${number} of its descriptor is not known: ${JSON.stringify(text.slice(0, 80))}`,
    remedy: 'Export the disk again with a current tool, or convert it where you trust it.',
    context: { line: number },
  });
}
