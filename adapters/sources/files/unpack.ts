/**
 * Unpacks a gzip-compressed disk into staging. The file's name carries the source's fingerprint, and it gets that name
 * only when it is whole and on stable storage: so a finished file is simply found again after a crash, and a file of
 * an older source never is. A broken attempt leaves a `.partial`, which the next one removes.
 */
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes } from '../../../src/domain/byte-size.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Fingerprint, Image } from '../../../src/domain/image.ts';
import type { StepContext } from '../../../src/domain/ports.ts';
import { describeSlice } from '../../../src/images/describe-image.ts';
import { fingerprintFiles } from '../../../src/images/fingerprint.ts';
import { type GzipImage, inflate } from '../../../src/images/gzip-image.ts';

type Unpacking = { disk: string; gzip: GzipImage; stagingFolder: string; context: StepContext };

/** Gives the unpacked image, after the header guard let it pass. Throws `no-space`, `source-changed`, `image-…`. */
export async function unpackDisk(unpacking: Unpacking): Promise<Omit<Image, 'site'>> {
  const { disk, gzip, stagingFolder, context } = unpacking;
  const fingerprint = await fingerprintFiles([gzip.file.path]);
  const path = join(stagingFolder, nameFor({ disk, gzip, fingerprint }));
  if ((await lengthOf(path)) !== gzip.unpackedBytes) {
    await context.checkpoints.set(folderKey(disk), { folder: stagingFolder });
    await mkdir(stagingFolder, { recursive: true });
    await removeFilesOf(disk, stagingFolder);
    await requireSpace(unpacking);
    await writeWhole(unpacking, { path, fingerprint });
  }
  const slice = { path, offsetBytes: 0, lengthBytes: null };
  const { label, format } = gzip;
  const { image } = await describeSlice(slice, { label, format, signal: context.signal });
  return image;
}

/** Removes what unpackDisk left for this disk, finished or not. Idempotent. */
export async function removeUnpacked(disk: string, context: StepContext): Promise<void> {
  const saved = await context.checkpoints.get(folderKey(disk));
  if (!isSavedFolder(saved)) return;
  await removeFilesOf(disk, saved.folder);
  await rmdir(saved.folder).catch(() => {}); // Other disks of the machine may still be there.
  await context.checkpoints.delete(folderKey(disk));
}

async function writeWhole(
  unpacking: Unpacking,
  { path, fingerprint }: { path: string; fingerprint: Fingerprint },
): Promise<void> {
  const { gzip, stagingFolder } = unpacking;
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    await writePartial(unpacking, partial);
    if ((await fingerprintFiles([gzip.file.path])) !== fingerprint) throw changedMeanwhile(gzip);
    await rename(partial, path);
    await syncFolder(stagingFolder);
  } catch (error) {
    await rm(partial, { force: true });
    throw writeFailure({ gzip, stagingFolder, error });
  }
}

async function writePartial({ gzip, context }: Unpacking, partial: string): Promise<void> {
  const { file, label, unpackedBytes, bytes } = gzip;
  const { signal } = context;
  await using output = await open(partial, 'wx');
  let doneBytes = 0;
  let shown = -1;
  const take = async (piece: Buffer): Promise<void> => {
    if (doneBytes + piece.length > unpackedBytes) throw changedMeanwhile(gzip);
    await writeUnlessZero(output, piece, doneBytes);
    doneBytes += piece.length;
    const percent = Math.floor((100 * doneBytes) / unpackedBytes);
    if (percent === shown) return;
    shown = percent;
    // Until the file has its name, staging holds nothing that a later attempt could go on from.
    context.report({ doneBytes: 0, totalBytes: bytes, note: `unpacking: ${percent} %` });
  };
  await inflate({ file, label, signal, take });
  if (doneBytes !== unpackedBytes) throw changedMeanwhile(gzip);
  await output.truncate(unpackedBytes);
  await output.sync();
}

const ZEROS = Buffer.alloc(256 * 1024);

/** Zeros stay holes: an unpacked disk takes no more space than its data. */
async function writeUnlessZero(output: FileHandle, piece: Buffer, position: number): Promise<void> {
  if (piece.length <= ZEROS.length && piece.equals(ZEROS.subarray(0, piece.length))) return;
  for (let done = 0; done < piece.length; ) {
    const { bytesWritten } = await output.write(piece, done, piece.length - done, position + done);
    done += bytesWritten;
  }
}

async function requireSpace({ gzip, stagingFolder }: Unpacking): Promise<void> {
  const { bavail, bsize } = await statfs(stagingFolder);
  const freeBytes = bavail * bsize;
  if (freeBytes < gzip.unpackedBytes) throw noSpace({ gzip, stagingFolder, freeBytes });
}

async function removeFilesOf(disk: string, folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (name.startsWith(`${disk}-`)) await rm(join(folder, name), { force: true });
}

function nameFor(content: { disk: string; gzip: GzipImage; fingerprint: string }): string {
  const { disk, gzip, fingerprint } = content;
  const hash = createHash('sha256').update(JSON.stringify([fingerprint, gzip.file, gzip.format]));
  return `${disk}-${hash.digest('hex').slice(0, 32)}.img`;
}

async function lengthOf(path: string): Promise<number | null> {
  return await stat(path).then(
    ({ size }) => size,
    () => null,
  );
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder);
  await handle.sync();
}

function folderKey(disk: string): string {
  return `files/unpacked/${disk}`;
}

function isSavedFolder(value: unknown): value is { folder: string } {
  return typeof value === 'object' && value !== null && 'folder' in value && typeof value.folder === 'string';
}

function writeFailure(failure: { gzip: GzipImage; stagingFolder: string; error: unknown }): unknown {
  const { gzip, stagingFolder, error } = failure;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT') return noSpace({ gzip, stagingFolder, freeBytes: 0 });
  if (code !== 'ENOENT') return error;
  return new LandfallError({
    code: 'lease-lost',
    message: `Unpacking ${gzip.label} was overtaken: another attempt removed its unfinished file.`,
    retryable: true,
    cause: error,
  });
}

function noSpace(lack: { gzip: GzipImage; stagingFolder: string; freeBytes: number }): LandfallError {
  const { gzip, stagingFolder, freeBytes } = lack;
  return new LandfallError({
    code: 'no-space',
    message: `Cannot unpack ${gzip.label}: it takes ${formatBytes(gzip.unpackedBytes)}, and ${stagingFolder} ${freeBytes === 0 ? 'is full' : `has ${formatBytes(freeBytes)} free`}. Free some space, or set LANDFALL_STAGING to a larger disk.`,
    // Machines that land give their staging back.
    retryable: true,
    context: { neededBytes: gzip.unpackedBytes, freeBytes, folder: stagingFolder },
  });
}

function changedMeanwhile(gzip: GzipImage): LandfallError {
  return new LandfallError({
    code: 'source-changed',
    message: `${gzip.label} changed while it was unpacked. See that nothing writes to it, then retry.`,
    retryable: true,
    context: { image: gzip.label },
  });
}
