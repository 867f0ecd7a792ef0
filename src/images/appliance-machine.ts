/** A machine as a source's files describe it, with where each of its disks can be read. */
import { realpath } from 'node:fs/promises';
import { fileError } from '../blocks/file-error.ts';
import type { Image } from '../domain/image.ts';
import type { DiskFormat, Machine } from '../domain/machine.ts';
import type { GzipImage } from './gzip-image.ts';
import type { Verdicts } from './manifest-verdicts.ts';

export type ApplianceMachine = {
  machine: Machine;
  /** By disk id. */
  contents: Readonly<Record<string, DiskContent>>;
};

/** An image that can be read where it is, or a compressed one that must be unpacked first. */
export type DiskContent = { kind: 'image'; image: Omit<Image, 'site'> } | { kind: 'gzip'; gzip: GzipImage };

export type DescribedDisk = {
  bytes: number;
  format: DiskFormat;
  /** As in `Disk`. */
  file: string | null;
  boots: boolean;
  content: DiskContent;
};

export type ReadOptions = {
  signal: AbortSignal;
  verdicts: Verdicts;
  /** For short-lived files of a few MiB. */
  scratchFolder: string;
  onManifestProgress?: ((progress: { doneBytes: number; totalBytes: number }) => void) | undefined;
};

/** Disks are numbered in the order given, which is the bus order. */
export function buildMachine(
  described: Omit<Machine, 'disks'> & { disks: readonly DescribedDisk[] },
): ApplianceMachine {
  const { disks, ...rest } = described;
  const numbered = disks.map((disk, index) => ({ id: String(index), ...disk }));
  return {
    machine: { ...rest, disks: numbered.map(({ content: _, ...disk }) => disk) },
    contents: Object.fromEntries(numbered.map(({ id, content }) => [id, content])),
  };
}

/** Names a machine across waves: by whatever link or relative path its file is reached, it is the same. */
export async function identityOf(path: string, name: string): Promise<string> {
  try {
    return `files:${await realpath(path)}#${name}`;
  } catch (error) {
    throw fileError(path, error);
  }
}
