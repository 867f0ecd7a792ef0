/**
 * Compares an appliance's files with its manifest. This is the one place where disks are read only to be digested: an
 * appliance is not trusted before its manifest held, and a wrong digest must be found before anything is started. So
 * that this costs one reading and not one for each command and each try, the verdict is kept (manifest-verdicts.ts).
 */
import { createHash } from 'node:crypto';
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import type { FileSlice } from '../domain/image.ts';
import { fingerprintFiles } from './fingerprint.ts';
import { type ManifestEntry, parseManifest } from './manifest.ts';
import type { Verdicts } from './manifest-verdicts.ts';
import { COPY_AGAIN, missingImage } from './refusal.ts';
import { openSlice } from './slice-reader.ts';

export type ManifestCheck = {
  /** How messages call the manifest. */
  label: string;
  text: string;
  /** null where there is none of that name. */
  findFile(name: string): Promise<{ slice: FileSlice; label: string } | null>;
  verdicts: Verdicts;
  signal: AbortSignal;
  onProgress?: ((progress: { doneBytes: number; totalBytes: number }) => void) | undefined;
};

/** Two keep a disk busy; each holds one batch of 1 MiB, and hashing one blocks the event loop for 1 to 3 ms. */
const FILES_AT_ONCE = 2;

/** Throws `digest-mismatch`, `image-missing`, `source-changed` and what reading may throw. */
export async function checkManifest(check: ManifestCheck): Promise<void> {
  const listed: Located[] = [];
  for (const entry of parseManifest(check.text, check.label)) listed.push(await locate(check, entry));
  const paths = [...new Set(listed.map(({ slice }) => slice.path))];
  const fingerprint = await fingerprintFiles(paths);
  const subject = createHash('sha256').update(JSON.stringify([check.label, check.text, fingerprint]));
  await check.verdicts.once({
    subject: subject.digest('hex'),
    signal: check.signal,
    judge: async () => {
      await checkAll(check, listed);
      if ((await fingerprintFiles(paths)) !== fingerprint) throw changed(check.label);
      return true;
    },
  });
}

type Located = { entry: ManifestEntry; slice: FileSlice; label: string };
type Listed = Located & { bytes: number };

async function locate({ label, findFile }: ManifestCheck, entry: ManifestEntry): Promise<Located> {
  const found = await findFile(entry.file);
  if (found !== null) return { entry, ...found };
  throw missingImage({
    label: `${label}, line ${entry.line}`,
    found: `the manifest lists ${entry.file}, and there is no such file`,
    remedy: COPY_AGAIN,
    context: { member: entry.file },
  });
}

async function checkAll(check: ManifestCheck, listed: readonly Located[]): Promise<void> {
  const files: Listed[] = [];
  for (const file of listed) {
    await using reader = await openSlice({ slice: file.slice, label: file.label });
    files.push({ ...file, bytes: reader.lengthBytes });
  }
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let doneBytes = 0;
  const onBytes = (bytes: number): void => {
    doneBytes += bytes;
    check.onProgress?.({ doneBytes, totalBytes });
  };
  const stop = new AbortController();
  const signal = AbortSignal.any([check.signal, stop.signal]);
  const queue = files.values();
  const work = async (): Promise<void> => {
    for (const file of queue) await checkFile({ file, manifest: check.label, signal, onBytes });
  };
  const workers = Array.from({ length: FILES_AT_ONCE }, async () => {
    try {
      await work();
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  // All have let go of their files before the first failure is told.
  await Promise.allSettled(workers);
  signal.throwIfAborted();
}

async function checkFile({
  file,
  manifest,
  signal,
  onBytes,
}: {
  file: Listed;
  manifest: string;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
}): Promise<void> {
  const { entry, slice, label, bytes } = file;
  await using reader = await openSlice({ slice, label, signal });
  const hash = createHash(entry.algorithm);
  for await (const batch of reader.readInBatches({
    offsetBytes: 0,
    lengthBytes: bytes,
    what: 'its content',
  })) {
    hash.update(batch);
    onBytes(batch.length);
    await yieldToLoop();
  }
  const actual = hash.digest('hex');
  if (actual !== entry.digest) throw mismatch({ manifest, label, entry, actual });
}

function mismatch(found: {
  manifest: string;
  label: string;
  entry: ManifestEntry;
  actual: string;
}): LandfallError {
  const { manifest, label, entry, actual } = found;
  return new LandfallError({
    code: 'digest-mismatch',
    message: `${label} is not what its manifest says: line ${entry.line} of ${manifest} expects ${entry.algorithm} ${entry.digest}, but its content gives ${actual}. ${COPY_AGAIN}`,
    context: {
      file: manifest,
      member: entry.file,
      algorithm: entry.algorithm,
      expected: entry.digest,
      actual,
    },
  });
}

function changed(label: string): LandfallError {
  return new LandfallError({
    code: 'source-changed',
    message: `Files of ${label} changed while their digests were checked. See that nothing writes to them, then try again.`,
    retryable: true,
    context: { file: label },
  });
}
