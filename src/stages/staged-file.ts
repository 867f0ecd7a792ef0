/**
 * A disk's file in staging. Each attempt writes under a name of its own and first removes what others left, so an
 * attempt that lost its lease but still runs can never write into its successor's file. `convert/DISK` remembers a file
 * that became whole, and from which state of the source: only such a file is used again after a crash.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../blocks/file-error.ts';
import { fingerprintFile } from '../blocks/file-fingerprint.ts';
import type { Container, Fingerprint, Prepared } from '../domain/image.ts';
import type { JsonValue } from '../domain/json.ts';
import { convertedFolder, pathSegment } from './staging.ts';
import type { StepInput } from './step-input.ts';

type Disk = { id: string; container: Container; sourceFingerprint: Fingerprint };

const EXTENSION: Readonly<Record<Container, string>> = {
  'vmdk-stream-optimized': 'vmdk',
  'vhd-fixed': 'vhd',
  raw: 'raw',
};

/** What an earlier attempt made of the same source for the same container, if it is whole; null: it must be made. */
export async function findStaged(input: StepInput, disk: Disk): Promise<Prepared | null> {
  const saved = readSaved(await input.context.checkpoints.get(checkpointKey(disk.id)));
  if (saved === null) return null;
  const { prepared, sourceFingerprint } = saved;
  if (sourceFingerprint !== disk.sourceFingerprint || prepared.container !== disk.container) return null;
  const found = await fingerprintFile(prepared.file.path).catch(() => null);
  return found === prepared.fingerprint ? prepared : null;
}

/** A fresh path for this attempt; whatever else there is of this disk is removed. */
export async function clearStaged(input: StepInput, disk: Disk): Promise<string> {
  const folder = convertedFolder(input);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const prefix = `${stem(disk.id)}.`;
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix)) await rm(join(folder, name), { force: true });
  }
  return join(folder, `${prefix}${randomBytes(4).toString('hex')}.${EXTENSION[disk.container]}`);
}

/** Takes up a file that is whole and durable: from now on it is used again. */
export async function keepStaged(input: StepInput, disk: Disk & { path: string }): Promise<Prepared> {
  const { path, id, container, sourceFingerprint } = disk;
  const fingerprint = await fingerprintFile(path);
  const lengthBytes = await sizeOf(path);
  const file = { path, offsetBytes: 0, lengthBytes: null };
  const prepared: Prepared = { container, file, lengthBytes, isStaged: true, fingerprint };
  await input.context.checkpoints.set(checkpointKey(id), { sourceFingerprint, prepared });
  return prepared;
}

/** Removes what was made of these disks. */
export async function discardStaged(input: StepInput, disks: readonly string[]): Promise<void> {
  for (const disk of disks) await input.context.checkpoints.delete(checkpointKey(disk));
  await rm(convertedFolder(input), { recursive: true, force: true });
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw fileError(path, error);
  }
}

type Saved = { sourceFingerprint: Fingerprint; prepared: Prepared };

/** Only keepStaged writes this key, so its shape is known. */
function readSaved(value: JsonValue): Saved | null {
  return value === null ? null : (value as unknown as Saved);
}

function stem(disk: string): string {
  return `disk-${pathSegment(disk)}`;
}

function checkpointKey(disk: string): string {
  return `convert/${disk}`;
}
