/**
 * An OVA is a tar. Its index is read by seeking from header to header; members are never unpacked, since each one is
 * a slice of the archive that can be read in place. Headers come from strangers: whatever would make another reader
 * write or read elsewhere (links, paths, duplicates, sparse maps) is refused.
 */
import { Header, Pax } from 'tar';
import type { FileSlice } from '../domain/image.ts';
import { COPY_AGAIN, corruptImage, hostileImage } from './refusal.ts';
import { openSlice, type SliceReader } from './slice-reader.ts';

export type OvaIndex = {
  /** The archive. */
  path: string;
  /** By name, in the order of the archive. */
  members: ReadonlyMap<string, FileSlice>;
};

const BLOCK_BYTES = 512;
/** A machine has a few dozen disks at most; a collection of machines some more. */
const MAX_MEMBERS = 256;
/** Each member may bring a long name, a pax header and a global one. */
const MAX_HEADERS = 4 * MAX_MEMBERS;
/** A name, a size and times: real ones take under 1 KiB. */
const MAX_EXTENSION_BYTES = 64 * 1024;

/** Throws `image-corrupt`, `image-hostile`, `image-missing` or `image-unreadable`, naming archive and member. */
export async function readOvaIndex(path: string, signal?: AbortSignal): Promise<OvaIndex> {
  const slice = { path, offsetBytes: 0, lengthBytes: null };
  await using reader = await openSlice({ slice, label: path, signal });
  const members = new Map<string, FileSlice>();
  let extensions: Extensions = {};
  for (let offsetBytes = 0, headers = 0; ; headers += 1) {
    if (headers >= MAX_HEADERS) throw tooManyMembers(path);
    const header = await readHeader({ reader, offsetBytes, extensions });
    if (header === null) return { path, members };
    const dataBytes = header.size;
    const body = offsetBytes + BLOCK_BYTES;
    if (EXTENSION_TYPES.has(header.type)) {
      extensions = await readExtension({ reader, offsetBytes: body, header, extensions });
    } else {
      const name = extensions.longPath ?? header.path;
      requireMember({ path, name, type: header.type, members });
      requireWhole({ reader, name, endBytes: body + dataBytes });
      members.set(basename(name), { path, offsetBytes: body, lengthBytes: dataBytes });
      extensions = extensions.global === undefined ? {} : { global: extensions.global };
    }
    offsetBytes = body + Math.ceil(dataBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
}

/** Is this the first block of a tar? Told by its checksum, since old tars carry no magic. */
export function isTarHead(head: Buffer): boolean {
  if (head.length < BLOCK_BYTES) return false;
  try {
    return new Header(head).cksumValid;
  } catch {
    return false;
  }
}

type Extensions = { local?: Pax; global?: Pax; longPath?: string };
type MemberHeader = { path: string; size: number; type: string };

const EXTENSION_TYPES = new Set([
  'ExtendedHeader',
  'OldExtendedHeader',
  'GlobalExtendedHeader',
  'NextFileHasLongPath',
  'OldGnuLongPath',
]);
const REGULAR_TYPES = new Set(['File', 'OldFile', 'ContiguousFile']);

/** null at the end mark. */
async function readHeader(at: {
  reader: SliceReader;
  offsetBytes: number;
  extensions: Extensions;
}): Promise<MemberHeader | null> {
  const { reader, offsetBytes, extensions } = at;
  if (offsetBytes + BLOCK_BYTES > reader.lengthBytes) throw cutOff(reader, offsetBytes);
  const block = await reader.read({ offsetBytes, lengthBytes: BLOCK_BYTES, what: 'a tar header' });
  const header = decodeHeader({ block, extensions, reader, offsetBytes });
  if (header.nullBlock) return null;
  const { path, size, type } = header;
  if (!header.cksumValid || path === undefined || size === undefined || !Number.isSafeInteger(size)) {
    throw damagedHeader(reader, offsetBytes);
  }
  return { path, size, type };
}

function decodeHeader(at: {
  block: Buffer;
  extensions: Extensions;
  reader: SliceReader;
  offsetBytes: number;
}): Header {
  try {
    return new Header(at.block, 0, at.extensions.local, at.extensions.global);
  } catch (error) {
    throw damagedHeader(at.reader, at.offsetBytes, error);
  }
}

async function readExtension(at: {
  reader: SliceReader;
  offsetBytes: number;
  header: MemberHeader;
  extensions: Extensions;
}): Promise<Extensions> {
  const { reader, offsetBytes, header, extensions } = at;
  const { path } = reader;
  if (header.size > MAX_EXTENSION_BYTES) {
    throw hostileImage({
      label: path,
      found: `a tar header extension at byte ${offsetBytes} claims ${header.size} bytes`,
      remedy: PACK_AGAIN,
    });
  }
  const body = await reader.read({
    offsetBytes,
    lengthBytes: header.size,
    what: 'a tar header extension',
  });
  const text = body.toString('utf8');
  switch (header.type) {
    case 'NextFileHasLongPath':
    case 'OldGnuLongPath':
      return { ...extensions, longPath: text.replace(/\0.*$/s, '') };
    case 'GlobalExtendedHeader':
      return { ...extensions, global: Pax.parse(text, extensions.global, true) };
    default:
      if (/(^|\n)\d+ GNU\.sparse\./.test(text)) throw sparseMember(path);
      return { ...extensions, local: Pax.parse(text, extensions.local) };
  }
}

function requireMember(member: {
  path: string;
  name: string;
  type: string;
  members: ReadonlyMap<string, FileSlice>;
}): void {
  const { path, name, type, members } = member;
  const label = `${path}!${printable(name)}`;
  if (type === 'SparseFile') throw sparseMember(path);
  if (!REGULAR_TYPES.has(type)) {
    throw hostileImage({
      label,
      found: `this member is no regular file but of type ${type}`,
      remedy: PACK_AGAIN,
      context: { member: printable(name), type },
    });
  }
  if (!isBasename(basename(name))) {
    throw hostileImage({
      label,
      found: 'its name is a path, which could point out of the archive; members of an OVA have plain names',
      remedy: PACK_AGAIN,
      context: { member: printable(name) },
    });
  }
  if (members.has(basename(name))) {
    throw hostileImage({
      label,
      found: 'the archive holds two members of this name, so which one is meant depends on the reader',
      remedy: PACK_AGAIN,
      context: { member: name },
    });
  }
  if (members.size >= MAX_MEMBERS) throw tooManyMembers(path);
}

function requireWhole({
  reader,
  name,
  endBytes,
}: {
  reader: SliceReader;
  name: string;
  endBytes: number;
}): void {
  if (endBytes <= reader.lengthBytes) return;
  throw corruptImage({
    label: `${reader.path}!${printable(name)}`,
    found: `this member should reach to byte ${endBytes}, but the archive ends at ${reader.lengthBytes}: it is cut off`,
    remedy: COPY_AGAIN,
    context: { member: name, expectedBytes: endBytes, lengthBytes: reader.lengthBytes },
  });
}

/** A plain file name: no folder, no way up, nothing that a terminal or a shell reads otherwise. */
export function isBasename(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return name !== '' && name !== '.' && name !== '..' && !/[/\\\x00-\x1f\x7f]/.test(name);
}

/** `tar -C FOLDER ./a ./b` writes a leading `./`, which changes nothing. */
function basename(name: string): string {
  return name.startsWith('./') ? name.slice(2) : name;
}

function printable(name: string): string {
  return JSON.stringify(name).slice(1, -1);
}

const PACK_AGAIN =
  'Unpack it where it can do no harm, look at it, and pack it anew: `tar --format=ustar -cf NEW.ova NAME.ovf NAME.mf DISKS…`.';

function cutOff(reader: SliceReader, offsetBytes: number) {
  return corruptImage({
    label: reader.path,
    found: `the archive ends at byte ${reader.lengthBytes}, where a header or the end mark should follow at ${offsetBytes}: it is cut off`,
    remedy: COPY_AGAIN,
    context: { offsetBytes, lengthBytes: reader.lengthBytes },
  });
}

function damagedHeader(reader: SliceReader, offsetBytes: number, cause?: unknown) {
  return corruptImage({
    label: reader.path,
    found: `the tar header at byte ${offsetBytes} is damaged`,
    remedy: COPY_AGAIN,
    context: { offsetBytes },
    cause,
  });
}

function tooManyMembers(path: string) {
  return hostileImage({
    label: path,
    found: `it holds more than ${MAX_MEMBERS} members`,
    remedy: 'Export the machines in smaller appliances.',
  });
}

function sparseMember(path: string) {
  return hostileImage({
    label: path,
    found: 'it holds a sparse member, which cannot be read in place',
    remedy: 'Pack it anew without `--sparse`.',
  });
}
