/**
 * Follows an image through the files under it, and lets the header guard judge each. A header may name any file of its
 * host: only those are followed that the domain itself names, or that lie in folders which the wave allows. qemu is then
 * told every file of the chain, and looks at none that a header names.
 */
import { dirname, resolve, sep } from 'node:path';
import type { QemuFormat } from '../../../src/domain/image.ts';
import { inspectHeader } from '../../../src/images/header-guard.ts';
import { inspectQcow2 } from '../../../src/images/qcow2-header.ts';
import { corruptImage, hostileImage, unreadableImage } from '../../../src/images/refusal.ts';
import { FORMATS, type NamedFile } from './domain.ts';
import type { ChainFile, ImagePlace } from './image-place.ts';
import { readBacking, withoutBacking } from './qcow2-backing.ts';

export type ChainRequest = {
  place: ImagePlace;
  /** The file that the domain writes to. */
  top: ChainFile;
  /** What the domain names under it, from the nearest on; null: nothing, so headers decide. */
  named: readonly NamedFile[] | null;
  /** Where backing files may lie that no domain names. */
  folders: readonly string[];
  signal: AbortSignal;
};

export type Chain = {
  /** Virtual size. */
  bytes: number;
  /** From the top on. */
  files: ChainFile[];
};

/** Snapshots of years; qemu and libvirt take 200. */
const MAX_FILES = 64;
const SECTOR_BYTES = 512;

/** Throws `image-…` errors. */
export async function followChain(request: ChainRequest): Promise<Chain> {
  const { place, named, signal } = request;
  const first = await inspectFile(request.top, place, signal);
  const files = [request.top];
  let { under } = first;
  let above = request.top;
  for (let depth = 0; under !== null || named?.[depth] !== undefined; depth += 1) {
    if (files.length === MAX_FILES) throw tooLong(request.top);
    const file: ChainFile = await chooseUnder(request, { above, under, named: named?.[depth], depth });
    if (files.some(({ path }) => path === file.path)) throw circular(file, above);
    ({ under } = await inspectFile(file, place, signal));
    files.push(file);
    above = file;
  }
  return { bytes: first.bytes, files };
}

type Inspected = { bytes: number; under: NamedUnder | null };
type NamedUnder = { path: string; format: string | null };

async function inspectFile(file: ChainFile, place: ImagePlace, signal: AbortSignal): Promise<Inspected> {
  const { path, format } = file;
  await using reader = await place.openFile(path, signal);
  switch (format) {
    case 'raw':
      if (reader.lengthBytes % SECTOR_BYTES !== 0 || reader.lengthBytes === 0) {
        throw corruptImage({
          label: path,
          found: `its ${reader.lengthBytes} bytes are no whole number of 512-byte sectors, as those of a raw disk are`,
          remedy: 'See that it is the right file, and in the format that the domain says.',
        });
      }
      return { bytes: reader.lengthBytes, under: null };
    case 'qcow2': {
      const backing = await readBacking(reader);
      const { bytes } = await inspectQcow2(withoutBacking(reader));
      return { bytes, under: backing && { ...backing, path: pathOf(backing.name, path) } };
    }
    case 'vmdk':
    case 'vhd':
    case 'vhdx': {
      if (!place.isHere) throw tooForeign(file);
      // Nothing of theirs can lie under another file here, and the guard reads them itself.
      const slice = { path, offsetBytes: 0, lengthBytes: null };
      return { bytes: (await inspectHeader(slice, { format, signal })).bytes, under: null };
    }
    default:
      return format satisfies never;
  }
}

type Link = {
  above: ChainFile;
  /** As the header of `above` says. */
  under: NamedUnder | null;
  /** As the domain says. */
  named: NamedFile | undefined;
  depth: number;
};

/** Domain and header must agree; where only the header speaks, the wave must allow it. */
async function chooseUnder(request: ChainRequest, link: Link): Promise<ChainFile> {
  const { place, signal } = request;
  const { above, under, named } = link;
  if (under === null) throw disagree(above, `it names no backing file, and its domain names ${named?.path}`);
  const path = await place.resolveLinks(under.path, signal);
  if (request.named !== null) {
    if (named === undefined) throw disagree(above, `it names ${under.path}, and its domain ends there`);
    // Over ssh each look costs half a second.
    const isSame = named.path === path || (await place.resolveLinks(named.path, signal)) === path;
    if (!isSame) {
      throw disagree(above, `it names ${under.path}, and its domain ${named.path}`);
    }
    return { path, format: formatOf(named.format, above) };
  }
  if (!(await isAllowed(path, request))) throw notAllowed(above, path);
  if (under.format === null) throw unknownFormat(above, path);
  return { path, format: formatOf(under.format, above) };
}

async function isAllowed(path: string, { place, folders, signal }: ChainRequest): Promise<boolean> {
  for (const folder of folders) {
    const resolved = await place.resolveLinks(folder, signal);
    if (path.startsWith(resolved.endsWith(sep) ? resolved : resolved + sep)) return true;
  }
  return false;
}

/** qemu would take `nbd://…`, `json:{…}` and many others for a name. */
function pathOf(name: string, image: string): string {
  if (!/^[^/]*:/.test(name) && !name.includes('\0')) return resolve(dirname(image), name);
  throw hostileImage({
    label: image,
    found: `it names ${JSON.stringify(name)} as its backing file, which is no path`,
    remedy: `Where you trust it, flatten the image while the machine is off: \`qemu-img convert -O qcow2 ${image} FLAT.qcow2\`.`,
  });
}

function formatOf(format: string, above: ChainFile): QemuFormat {
  const known = FORMATS[format];
  if (known === 'raw' || known === 'qcow2') return known;
  throw unreadableImage({
    label: above.path,
    found: `its backing file has the format ${format}, and only raw and qcow2 are taken there`,
    remedy: `Flatten it while the machine is off: \`qemu-img convert -O qcow2 ${above.path} FLAT.qcow2\`.`,
  });
}

function notAllowed(above: ChainFile, path: string) {
  return hostileImage({
    label: above.path,
    found: `its header names ${path} as its backing file, and neither its domain nor the wave does`,
    remedy: `Where you trust that file, add its folder to \`backingFolders\` of the source, or name it in a \`<backingStore>\` of the domain.`,
    context: { backing: path },
  });
}

function unknownFormat(above: ChainFile, path: string) {
  return unreadableImage({
    label: above.path,
    found: `it does not say which format its backing file ${path} has, and to guess would let a guest choose`,
    remedy: `While the machine is off: \`qemu-img rebase -u -b ${path} -F FORMAT ${above.path}\`.`,
  });
}

function disagree(above: ChainFile, found: string) {
  return unreadableImage({
    label: above.path,
    found,
    remedy: 'Bring both together: start the machine once, or correct the `<backingStore>` with `virsh edit`.',
  });
}

function circular(file: ChainFile, above: ChainFile) {
  return corruptImage({
    label: above.path,
    found: `its backing file ${file.path} lies above it, so the chain has no end`,
    remedy: 'Find out who rebased it.',
  });
}

function tooForeign({ path, format }: ChainFile) {
  return unreadableImage({
    label: path,
    found: `its format is ${format}, and over ssh only raw and qcow2 are read`,
    remedy: 'Convert it to qcow2 while the machine is off, or run a worker on that host.',
  });
}

function tooLong(top: ChainFile) {
  return unreadableImage({
    label: top.path,
    found: `its chain has more than ${MAX_FILES} files`,
    remedy: `Shorten it while the machine runs: \`virsh blockcommit\`, or flatten it while it is off.`,
  });
}
