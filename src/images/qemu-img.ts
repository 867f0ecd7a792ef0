/** What Landfall asks of qemu-img: info, measure, convert and compare. Formats are always explicit, output is JSON. */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { LandfallError } from '../domain/errors.ts';
import type { Container, FileSlice, QemuFormat } from '../domain/image.ts';
import { type ToolLimits, tryTool } from '../processes/child.ts';
import { describeExport, describeSingle, describeToQemu } from './block-description.ts';
import { qemuFailure } from './qemu-failure.ts';

/** What a qemu tool reads: an NBD export (raw bytes), or an image that passed the guard. */
export type Readable = { uri: string } | { format: QemuFormat; file: FileSlice };

export type Conversion = {
  /** NBD URI. */
  from: string;
  /** The finished file; until it is finished, and after a kill, there is only `to + '.partial'`. */
  to: string;
  container: Container;
  /** From 0 to 1, never going back. */
  onProgress: (fraction: number) => void;
  signal: AbortSignal;
};

/** Opening an image reads a few tables: whatever needs more is a trap (CVE-2015-1851 and after). */
const INFO_LIMITS = { addressSpaceBytes: 2 ** 30, cpuSeconds: 30 };
/** Copying takes as long as it takes; memory is 16 coroutines × 2 MiB, tables, and the C library's arenas. */
const COPY_LIMITS = { addressSpaceBytes: 4 * 2 ** 30 };
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2' };

const Info = z.object({ 'virtual-size': z.number(), format: z.string() });
const Measure = z.object({ required: z.number(), 'fully-allocated': z.number() });

/** What qemu understands of an image, under tight limits. */
export async function imageInfo(request: {
  image: Readable;
  signal: AbortSignal;
}): Promise<{ format: string; bytes: number }> {
  const stdout = await runQemuImg({
    args: ['info', '--output=json', toQemu(request.image)],
    attempted: `Examining ${nameOf(request.image)} failed`,
    limits: INFO_LIMITS,
    signal: request.signal,
  });
  const info = Info.parse(JSON.parse(stdout));
  return { format: info.format, bytes: info['virtual-size'] };
}

/**
 * How many bytes of staging a conversion takes: `expectedBytes` is an upper bound for the data there is,
 * `maximumBytes` for a disk full of it.
 */
export async function measureImage(request: {
  from: string;
  container: Container;
  signal: AbortSignal;
}): Promise<{ expectedBytes: number; maximumBytes: number }> {
  // qemu measures qcow2 only by data; its clusters are as large as a VMDK's grains, 64 KiB.
  const stdout = await runQemuImg({
    args: ['measure', '--output=json', '-O', 'qcow2', toQemu({ uri: request.from })],
    attempted: `Measuring ${request.from} failed`,
    limits: COPY_LIMITS,
    signal: request.signal,
  });
  const measured = Measure.parse(JSON.parse(stdout));
  return {
    expectedBytes: inContainer(measured.required, request.container),
    maximumBytes: inContainer(measured['fully-allocated'], request.container),
  };
}

/**
 * Writes the image into a container of its own. On return the file is whole and on stable storage under its final
 * name. Throws `no-space`, `tool-failed`, or the reason of `signal`; then nothing is left.
 */
export async function convertImage(conversion: Conversion): Promise<{ lengthBytes: number }> {
  const to = resolve(conversion.to);
  const partial = `${to}.partial`;
  await rm(partial, { force: true });
  await using file = await create(partial);
  try {
    await copyInto(partial, conversion);
    await file.sync();
    await refuseSuccessor(file, partial);
    await rename(partial, to);
    await syncFolder(dirname(to));
    return { lengthBytes: (await file.stat()).size };
  } catch (error) {
    await removeOwn(file, partial);
    throw error;
  }
}

/** Do both hold the same bytes? A disk that goes on with zeros equals one that ends earlier. */
export async function compareImages(request: {
  left: Readable;
  right: Readable;
  signal: AbortSignal;
}): Promise<boolean> {
  const { left, right, signal } = request;
  const { exitCode, stderr } = await tryTool({
    command: 'qemu-img',
    args: ['compare', toQemu(left), toQemu(right)],
    limits: COPY_LIMITS,
    environment: ENVIRONMENT,
    signal,
  });
  if (exitCode === 0) return true;
  if (exitCode === 1) return false;
  const attempted = `Comparing ${nameOf(left)} with ${nameOf(right)} failed`;
  throw qemuFailure({ attempted, command: 'qemu-img', exitCode, stderr });
}

async function copyInto(partial: string, conversion: Conversion): Promise<void> {
  const { from, container, onProgress, signal } = conversion;
  let reported = 0;
  await runQemuImg({
    args: ['convert', '-p', ...outputOptions(container), toQemu({ uri: from }), partial],
    attempted: `Converting ${from} to ${conversion.to} failed`,
    limits: COPY_LIMITS,
    signal,
    onLine: (line) => {
      const fraction = parseProgress(line);
      if (fraction === null || fraction <= reported) return;
      reported = fraction;
      onProgress(fraction);
    },
  });
}

function outputOptions(container: Container): string[] {
  switch (container) {
    case 'vmdk-stream-optimized':
      // What AWS and vSphere import: the options of Fedora CoreOS's and bootc's pipelines.
      return ['-O', 'vmdk', '-o', 'adapter_type=lsilogic,subformat=streamOptimized,compat6=on'];
    case 'vhd-fixed':
      // Without force_size qemu rounds the disk up to a CHS geometry.
      return ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'];
    case 'raw':
      return ['-O', 'raw'];
    default:
      return container satisfies never;
  }
}

/** `    (12.34/100%)` as 0.1234; null for any other line. */
export function parseProgress(line: string): number | null {
  const match = /\(\s*(\d+(?:\.\d+)?)\/100%\)/.exec(line);
  return match === null ? null : Math.min(1, Number(match[1]) / 100);
}

/** Upper bounds for what qemu-img writes for so many bytes of data (64 KiB granules, metadata included). */
function inContainer(dataBytes: number, container: Container): number {
  switch (container) {
    case 'vmdk-stream-optimized':
      // Data that cannot be compressed grows by a sector per grain of 128; header and descriptor take 64 KiB.
      return Math.ceil((dataBytes * 129) / 128) + 128 * 1024;
    case 'vhd-fixed':
      return dataBytes + 1024;
    case 'raw':
      return dataBytes;
    default:
      return container satisfies never;
  }
}

async function create(partial: string): Promise<FileHandle> {
  try {
    return await open(partial, 'wx');
  } catch (cause) {
    throw new LandfallError({
      code: (cause as NodeJS.ErrnoException).code === 'ENOSPC' ? 'no-space' : 'conflict',
      message: `Cannot create ${partial}: ${(cause as Error).message}. Check that the staging folder exists, is writable and has space.`,
      context: { path: partial },
      cause,
    });
  }
}

/** A stalled attempt may wake after its successor began a file of the same name: that one is not ours to finish. */
async function refuseSuccessor(file: FileHandle, partial: string): Promise<void> {
  if (await isOwn(file, partial)) return;
  throw new LandfallError({
    code: 'lease-lost',
    message: `Another attempt is writing ${partial} now; this one gives way.`,
    context: { path: partial },
  });
}

async function removeOwn(file: FileHandle, partial: string): Promise<void> {
  if (await isOwn(file, partial)) await rm(partial, { force: true });
}

async function isOwn(file: FileHandle, path: string): Promise<boolean> {
  const [own, named] = await Promise.all([file.stat(), stat(path).catch(() => null)]);
  return named !== null && named.dev === own.dev && named.ino === own.ino;
}

/** A rename is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path);
  await folder.sync();
}

async function runQemuImg(run: {
  args: string[];
  attempted: string;
  limits: ToolLimits;
  signal: AbortSignal;
  onLine?: (line: string) => void;
}): Promise<string> {
  const { args, attempted, limits, signal, onLine } = run;
  const { exitCode, stdout, stderr } = await tryTool({
    command: 'qemu-img',
    args,
    limits,
    environment: ENVIRONMENT,
    signal,
    ...(onLine === undefined ? {} : { onLine }),
  });
  if (exitCode === 0) return stdout;
  throw qemuFailure({ attempted, command: 'qemu-img', exitCode, stderr });
}

function toQemu(image: Readable): string {
  return describeToQemu('uri' in image ? describeExport(image.uri) : describeSingle(image));
}

function nameOf(image: Readable): string {
  return 'uri' in image ? image.uri : image.file.path;
}
