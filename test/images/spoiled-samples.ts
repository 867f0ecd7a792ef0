/** Samples for the header guard, copies of them to be spoiled, and what the guard says of those. */
import { copyFile, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { expect } from 'vitest';
import { asLandfallError, type ErrorCode, LandfallError } from '../../src/domain/errors.ts';
import { inspectHeader } from '../../src/images/header-guard.ts';
import {
  convertSample,
  openSampleFolder,
  patch,
  type SampleFolder,
  type SampleName,
  writeSampleDisk,
  writeStreamVmdk,
} from './sample-images.ts';

export type SpoiledSamples = SampleFolder & {
  /** A copy of a sample to be spoiled; gives its path. */
  copyOf(file: string): Promise<string>;
  /** A copy with other bytes at one place; gives its path. */
  patched(file: string, at: number, bytes: Uint8Array | string): Promise<string>;
};

/** Images that are one file and need no other. */
export const SINGLE_FILES = [
  'v3.qcow2',
  'v2.qcow2',
  'small-clusters.qcow2',
  'sparse.vmdk',
  'stream.vmdk',
  'fixed.vhd',
  'dynamic.vhd',
  'fixed.vhdx',
  'dynamic.vhdx',
] as const satisfies readonly SampleName[];

/** Beside `files` there are `sample.raw`, and `vmware.vmdk` as VMware writes it, of the same content. */
export async function openSpoiledSamples(files: readonly SampleName[]): Promise<SpoiledSamples> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await openSampleFolder());
  const raw = folder.join('sample.raw');
  await writeSampleDisk(raw);
  await writeStreamVmdk(folder.join('vmware.vmdk'), await readFile(raw));
  for (const file of files) await convertSample({ raw, folder, file });
  const owned = stack.move();
  let copies = 0;
  const copyOf = async (file: string): Promise<string> => {
    copies += 1;
    const path = folder.join(`${copies}-${basename(file)}`);
    await copyFile(folder.join(file), path);
    return path;
  };
  return {
    ...folder,
    copyOf,
    async patched(file, at, bytes) {
      const path = await copyOf(file);
      await patch(path, at, bytes);
      return path;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A file as the guard is to see it: from its start to its end. */
export function whole(path: string) {
  return { path, offsetBytes: 0, lengthBytes: null };
}

/** Expects a refusal that names the file, and gives its message. */
export async function refusal(path: string, code: ErrorCode): Promise<string> {
  const outcome = await inspectHeader(whole(path)).catch((error: unknown) => error);
  expect(outcome).toBeInstanceOf(LandfallError);
  const error = asLandfallError(outcome);
  expect(error.code, error.message).toBe(code);
  expect(error.message).toContain(path);
  return error.message;
}
