/** The machines of a folder: every appliance in it, and every disk image that none of them owns. */
import { realpath, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileError } from '../../../src/blocks/file-error.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import { matchesName } from '../../../src/domain/name-pattern.ts';
import { readAppliance } from '../../../src/images/appliance.ts';
import type { ApplianceMachine, ReadOptions } from '../../../src/images/appliance-machine.ts';
import { filesOf } from '../../../src/images/fingerprint.ts';
import { listNames } from '../../../src/images/neighbour-file.ts';

/** Folders stand for the descriptor in them. */
const APPLIANCES: ReadonlySet<string> = new Set(['.ova', '.ovf', '.vmx']);
const IMAGES: ReadonlySet<string> = new Set(['.qcow2', '.vmdk', '.vhd', '.vhdx', '.raw', '.img']);

export type FolderSelection = {
  /** Absolute. */
  folder: string;
  /** Of the machine, with `*` and `?`; left out: all. */
  name?: string | undefined;
};

/** In the order of their files' names. Throws `image-…` errors of the first file that cannot be read, and `not-found`. */
export async function readFolder(
  { folder: path, name }: FolderSelection,
  reading: ReadOptions,
): Promise<ApplianceMachine[]> {
  // As readers of descriptors tell the paths of what lies beside them.
  const folder = await realpath(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  const entries = await listEntries(folder);
  const isFit = ({ machine }: ApplianceMachine): boolean =>
    name === undefined || matchesName(machine.name, name);
  // One machine is mostly in the file of its name: the others, maybe hundreds, need not be read for it.
  const own = entries.appliances.find((entry) => withoutExtension(entry) === name);
  const first = own === undefined ? [] : (await readAppliance(join(folder, own), reading)).filter(isFit);
  if (first.length > 0) return first;

  const found: { entry: string; machines: ApplianceMachine[] }[] = [];
  for (const entry of entries.appliances)
    found.push({ entry, machines: await readAppliance(join(folder, entry), reading) });
  const owned = new Set(found.flatMap(({ machines }) => machines.flatMap(filesOfMachine)));
  for (const entry of entries.images) {
    if (owned.has(join(folder, entry))) continue;
    const machines = await readAppliance(join(folder, entry), reading);
    for (const path of machines.flatMap(filesOfMachine)) owned.add(path);
    found.push({ entry, machines });
  }
  found.sort((a, b) => (a.entry < b.entry ? -1 : 1));
  const all = found.flatMap(({ machines }) => machines);
  if (all.length === 0) throw holdsNone(folder);
  return all.filter(isFit);
}

async function listEntries(folder: string): Promise<{ appliances: string[]; images: string[] }> {
  const names = await listNames(folder);
  const appliances: string[] = [];
  for (const name of names) {
    const isAppliance =
      APPLIANCES.has(extname(name).toLowerCase()) || (await isMachineFolder(join(folder, name)));
    if (isAppliance) appliances.push(name);
  }
  const images = names.filter((name) => IMAGES.has(extname(name).toLowerCase()));
  // The file that names a split disk's pieces comes before them: theirs are its name and more.
  return { appliances, images: images.toSorted((a, b) => a.length - b.length) };
}

async function isMachineFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  if (stats?.isDirectory() !== true) return false;
  return (await listNames(path)).some((name) => /\.(ovf|vmx)$/i.test(name));
}

function filesOfMachine({ contents, machine }: ApplianceMachine): string[] {
  const read = Object.values(contents).flatMap((content) =>
    content.kind === 'image' ? filesOf(content.image.layout) : [content.gzip.file.path],
  );
  return [...read, ...machine.disks.flatMap(({ file }) => file ?? [])];
}

function withoutExtension(name: string): string {
  return name.slice(0, name.length - extname(name).length);
}

function holdsNone(folder: string): LandfallError {
  const known = [...APPLIANCES, ...IMAGES].join(', ');
  return new LandfallError({
    code: 'image-missing',
    message: `${folder} holds no appliance and no disk image (${known}). Name the folder in which they lie.`,
    context: { folder },
  });
}
