/**
 * `export: spool`, for any source: a disk is copied into staging as a sparse raw file before anything else reads it, for
 * sources that must be let go soon or cannot be read at random. From then on the copy is the image.
 *
 * Resumable by blocks: the digest ledger knows what is in the file, and is written only after the file was synced. After
 * a kill at most the blocks under way, and those copied during one sync, are read again.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bytesOfBlock, type DiskReader, openDiskReader } from '../blocks/disk-reader.ts';
import { BLOCK_BYTES } from '../blocks/stream-encoder.ts';
import { formatBytes } from '../domain/byte-size.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Fingerprint, Image } from '../domain/image.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ExportRequest, Source, StepContext } from '../domain/ports.ts';
import { fingerprintLayout } from '../images/fingerprint.ts';
import { openImageOverNbd } from '../images/qemu-nbd.ts';
import { copyMissing } from './copy-missing.ts';
import { createCopyProgress } from './copy-progress.ts';
import { openDigestLedger } from './digest-ledger.ts';
import { watchWhile } from './source-watch.ts';
import { pathSegment } from './staging.ts';
import { freeBytes, noSpace, requireSpace } from './staging-space.ts';

/** Blocks read and written at once: enough for a source 20 ms away to give 400 MB/s. */
const LANES = 16;
const FULL = new Set(['ENOSPC', 'EDQUOT']);

export function spoolSource(source: Source): Source {
  return {
    ...source,
    export: async (request, context) => {
      const image = await source.export(request, context);
      return await spoolDisk({ source, request, context, image });
    },
    open: openImageOverNbd,
    fingerprint: ({ layout }) => fingerprintLayout(layout),
  };
}

type Spooling = { source: Source; request: ExportRequest; context: StepContext; image: Image };

async function spoolDisk(spooling: Spooling): Promise<Image> {
  const { source, request, context, image } = spooling;
  const fingerprint = await source.fingerprint(image);
  await using watch = watchWhile({
    check: () => requireUnchanged(spooling, fingerprint),
    context,
    machine: request.machine.name,
  });
  const { signal } = watch;
  await using spool = await openSpool(spooling, fingerprint);
  if (!(await isWhole(spool, context))) {
    await using opened = await source.open(image, signal);
    await using reader = await openDiskReader(opened, signal);
    await fillSpool({ ...spooling, spool, reader, signal });
    await requireUnchanged(spooling, fingerprint);
    await markWhole(spool, context);
  }
  // Upload takes its own.
  await forgetDigests(spool, context);
  return rawImage(spool.path, image.bytes);
}

type Spool = AsyncDisposable & {
  path: string;
  file: FileHandle;
  /** Of this very file and what it is copied from: one that was removed, or holds another state, is begun anew. */
  identity: JsonObject & { bytes: number };
  key: string;
};

async function openSpool({ request, image, context }: Spooling, fingerprint: Fingerprint): Promise<Spool> {
  await mkdir(request.stagingFolder, { recursive: true });
  const path = join(request.stagingFolder, `spool-${pathSegment(request.disk)}.raw`);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  const { ino, birthtimeMs, size } = await file.stat();
  const identity = { path, fingerprint, bytes: image.bytes, file: `${ino}:${birthtimeMs}` };
  const spool = {
    path,
    file,
    identity,
    key: `spool/${request.disk}`,
    [Symbol.asyncDispose]: () => file.close(),
  };
  // A new file can have the number of one that was removed, and not every file system tells when a file was made.
  if (size !== image.bytes) await forgetCopy(spool, context);
  return spool;
}

async function forgetCopy(spool: Spool, context: StepContext): Promise<void> {
  await context.checkpoints.delete(`${spool.key}/whole`);
  await forgetDigests(spool, context);
}

async function forgetDigests({ key, identity }: Spool, { checkpoints }: StepContext): Promise<void> {
  const digests = await openDigestLedger({ checkpoints, key, identity, diskBytes: identity.bytes });
  await digests.clear();
}

async function isWhole({ identity, key }: Spool, { checkpoints }: StepContext): Promise<boolean> {
  return JSON.stringify(await checkpoints.get(`${key}/whole`)) === JSON.stringify(identity);
}

async function markWhole({ identity, key }: Spool, { checkpoints }: StepContext): Promise<void> {
  await checkpoints.set(`${key}/whole`, identity);
}

async function fillSpool(
  filling: Spooling & { spool: Spool; reader: DiskReader; signal: AbortSignal },
): Promise<void> {
  const { request, context, image, spool, reader, signal } = filling;
  const { path, file, identity, key } = spool;
  const { checkpoints } = context;
  const digests = await openDigestLedger({ checkpoints, key, identity, diskBytes: image.bytes });
  if (digests.isNew) await file.truncate(0);
  await file.truncate(image.bytes);
  const totalBytes = await reader.countDataBytes(signal);
  const doneBytes = digests.knownBytes();
  const stillNeeded = () => ({
    folder: dirname(path),
    bytes: Math.max(0, totalBytes - digests.knownBytes()),
    what: `disk ${request.disk} of ${request.machine.name}`,
  });
  await requireSpace(stillNeeded());
  const progress = createCopyProgress({
    context,
    diskBytes: image.bytes,
    dataBytes: totalBytes,
    note: 'spooling',
  });
  progress.hold(doneBytes);
  if (doneBytes > 0) {
    const message = `Spooling of disk ${request.disk} goes on: ${formatBytes(doneBytes)} of it are in staging.`;
    context.log('info', message, { disk: request.disk, doneBytes });
  }
  await copyMissing({
    reader,
    digests,
    lanes: LANES,
    async write({ index, bytes: content }) {
      const bytes = content.subarray(0, bytesOfBlock(index, image.bytes));
      await writeWhole(file, { bytes, offsetBytes: index * BLOCK_BYTES });
    },
    sync: () => file.datasync(),
    progress,
    signal,
  }).catch(async (error: unknown) => {
    throw await explainFull(error, stillNeeded());
  });
}

/** A file system that is nearly full takes a part of what it is given, and only then refuses. */
async function writeWhole(
  file: FileHandle,
  { bytes, offsetBytes }: { bytes: Uint8Array; offsetBytes: number },
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offsetBytes + at);
    at += bytesWritten;
  }
}

async function explainFull(
  error: unknown,
  need: { folder: string; bytes: number; what: string },
): Promise<unknown> {
  if (!FULL.has((error as NodeJS.ErrnoException).code ?? '')) return error;
  return noSpace({ ...need, freeBytes: await freeBytes(need.folder), cause: error });
}

async function requireUnchanged(
  { source, request, context, image }: Spooling,
  was: Fingerprint,
): Promise<void> {
  const { machine, disk } = request;
  const isOff = (await source.powerState(machine, context.signal)) === 'off';
  if (isOff && (await source.fingerprint(image)) === was) return;
  throw new LandfallError({
    code: isOff ? 'source-changed' : 'source-not-off',
    message: isOff
      ? `Disk ${disk} of ${machine.name} changed at its source while it was copied into staging. Keep the machine off and its files untouched, then \`landfall retry ${context.run} ${machine.name}\` copies it afresh.`
      : `${machine.name} is running at its source: a copy of its disks would be torn. Shut it down there, then \`landfall retry ${context.run} ${machine.name}\`.`,
    context: { machine: machine.name, disk },
  });
}

function rawImage(path: string, bytes: number): Image {
  return {
    site: null,
    bytes,
    layout: { kind: 'single', format: 'raw', file: { path, offsetBytes: 0, lengthBytes: null } },
  };
}
