/** The files that belong to one OVF descriptor, whether packed into an OVA or lying beside it in a folder. */

import { basename, dirname, extname, join } from 'node:path';
import type { FileSlice } from '../domain/image.ts';
import { MAX_MANIFEST_BYTES } from './manifest.ts';
import { findNeighbour, listNames } from './neighbour-file.ts';
import { readOvaIndex } from './ova.ts';
import { MAX_DESCRIPTOR_BYTES } from './ovf-xml.ts';
import { corruptImage } from './refusal.ts';
import { readSmallFile } from './small-file.ts';

export type PackagedFile = { slice: FileSlice; label: string };

type Member = PackagedFile & { name: string };

export type OvfPackage = {
  /** The archive or the descriptor: what the operator named. */
  path: string;
  descriptor: { label: string; bytes: Buffer };
  /** null where there is none. */
  manifest: { label: string; text: string } | null;
  /** null where there is no file of that name. */
  findFile(name: string): Promise<PackagedFile | null>;
};

/** Reads an OVA's index, descriptor and manifest. Throws `image-…` errors. */
export async function openOvaPackage(path: string, signal: AbortSignal): Promise<OvfPackage> {
  const { members } = await readOvaIndex(path, signal);
  const files = [...members].map(([name, slice]) => ({ name, slice, label: `${path}!${name}` }));
  const descriptor = onlyDescriptor(path, files);
  const manifest = manifestOf(files, descriptor);
  const findFile = async (wanted: string) => files.find(({ name }) => name === wanted) ?? null;
  return await readPackage({ path, descriptor, manifest, findFile, signal });
}

/** Reads a descriptor and the manifest beside it. `path` is the descriptor. Throws `image-…` errors. */
export async function openOvfPackage(path: string, signal: AbortSignal): Promise<OvfPackage> {
  const folder = dirname(path);
  const findFile = async (name: string): Promise<PackagedFile | null> => {
    const found = await findNeighbour({ folder, name, label: path });
    return found === null ? null : wholeFile(found);
  };
  const stem = basename(path, extname(path));
  const names = (await listNames(folder)).filter((name) => name.toLowerCase() === `${stem}.mf`.toLowerCase());
  const [manifest] = names.map((name) => wholeFile(join(folder, name)));
  return await readPackage({
    path,
    descriptor: wholeFile(path),
    manifest: manifest ?? null,
    findFile,
    signal,
  });
}

async function readPackage(parts: {
  path: string;
  descriptor: PackagedFile;
  manifest: PackagedFile | null;
  findFile: OvfPackage['findFile'];
  signal: AbortSignal;
}): Promise<OvfPackage> {
  const { path, descriptor, manifest, findFile, signal } = parts;
  const bytes = await readSmallFile({ ...descriptor, limitBytes: MAX_DESCRIPTOR_BYTES, signal });
  const text =
    manifest === null ? null : await readSmallFile({ ...manifest, limitBytes: MAX_MANIFEST_BYTES, signal });
  return {
    path,
    descriptor: { label: descriptor.label, bytes },
    manifest:
      manifest === null || text === null ? null : { label: manifest.label, text: text.toString('utf8') },
    findFile,
  };
}

/** DSP0243 wants it first; its place is not insisted on, that there is just one is. */
function onlyDescriptor(path: string, files: readonly Member[]): Member {
  const [first, ...more] = files.filter(({ name }) => /\.ovf$/i.test(name));
  if (first !== undefined && more.length === 0) return first;
  const list = (members: readonly Member[]): string => members.map(({ name }) => name).join(', ');
  throw corruptImage({
    label: path,
    found:
      first === undefined
        ? `it is a tar without a descriptor (.ovf); it holds ${list(files.slice(0, 10)) || 'nothing'}`
        : `it holds ${more.length + 1} descriptors (${list([first, ...more])}), and an OVA has one`,
    remedy: 'Export the machine again as an OVA.',
  });
}

function manifestOf(files: readonly Member[], descriptor: Member): Member | null {
  const manifests = files.filter(({ name }) => /\.mf$/i.test(name));
  const own = descriptor.name.replace(/\.ovf$/i, '.mf').toLowerCase();
  return manifests.find(({ name }) => name.toLowerCase() === own) ?? manifests[0] ?? null;
}

function wholeFile(path: string): PackagedFile {
  return { slice: { path, offsetBytes: 0, lengthBytes: null }, label: path };
}
