/** An uploaded disk becomes a sparse raw file, by qemu-img under limits. */
import { open, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LandfallError } from '../../domain/errors.ts';
import { runTool, tryTool } from '../../processes/child.ts';
import type { CheckedDisk } from './disk-check.ts';
import { ImportFailure } from './import-failure.ts';
import { GIB } from './state.ts';

export type Conversion = {
  source: string;
  format: CheckedDisk['format'];
  bytes: number;
  /** Written anew; removed again when it fails. */
  target: string;
  onProgress: (percent: number) => void;
  signal: AbortSignal;
};

/** qemu-img keeps tables of an image in memory: under 200 MiB for the largest disks that are taken. */
const ADDRESS_SPACE_BYTES = 2 * GIB;
/** Inflating runs at some 40 MB/s on a slow core; five times that, and a minute. */
const CPU_SECONDS_PER_GIB = 120;
const MEASURE_CPU_SECONDS = 30;
/** What the host keeps for itself. */
const RESERVE_BYTES = 256 * 1024 * 1024;

/** Throws ImportFailure; abort rejects with the signal's reason. The file is on disk when it resolves. */
export async function convertDisk(conversion: Conversion): Promise<void> {
  const { source, format, bytes, target, onProgress, signal } = conversion;
  await checkSpace(conversion);
  try {
    await runTool({
      command: 'qemu-img',
      args: ['convert', '-p', '--image-opts', describeSource(source, format), '-O', 'raw', target],
      limits: {
        addressSpaceBytes: ADDRESS_SPACE_BYTES,
        cpuSeconds: 60 + CPU_SECONDS_PER_GIB * Math.ceil(bytes / GIB),
      },
      signal,
      onLine: (line) => {
        const percent = /\((\d+(?:\.\d+)?)\/100%\)/.exec(line)?.[1];
        if (percent !== undefined) onProgress(Number(percent));
      },
    });
    await flush(target);
  } catch (error) {
    await rm(target, { force: true });
    signal.throwIfAborted();
    throw explain(error, format);
  }
}

function describeSource(source: string, format: CheckedDisk['format']): string {
  const file = `file.driver=file,file.locking=off,file.filename=${source.replaceAll(',', ',,')}`;
  // Without this qemu takes a VHD's size from its CHS geometry, which cannot say every size.
  if (format === 'vhd') return `driver=vpc,force_size_calc=current_size,${file}`;
  return `driver=${format},${file}`;
}

async function checkSpace(conversion: Conversion): Promise<void> {
  const folder = dirname(conversion.target);
  const needed = (await measure(conversion)) + RESERVE_BYTES;
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new ImportFailure(
    `ServerError: The sandbox has ${mib(free)} MiB free in ${folder} and this disk needs ${mib(needed)} MiB. Make room and import it again.`,
  );
}

/** How much of the disk holds data, in bytes; all of it where qemu-img cannot tell. */
async function measure({ source, format, bytes, signal }: Conversion): Promise<number> {
  const { exitCode, stdout } = await tryTool({
    command: 'qemu-img',
    args: ['measure', '--output=json', '-O', 'raw', '--image-opts', describeSource(source, format)],
    limits: { addressSpaceBytes: ADDRESS_SPACE_BYTES, cpuSeconds: MEASURE_CPU_SECONDS },
    signal,
  });
  const required: unknown = exitCode === 0 ? JSON.parse(stdout).required : undefined;
  return typeof required === 'number' ? required : bytes;
}

async function flush(path: string): Promise<void> {
  await using file = await open(path, 'r+');
  await file.sync();
}

function explain(error: unknown, format: CheckedDisk['format']): Error {
  const message = error instanceof Error ? error.message : String(error);
  if (/No space left on device/i.test(message)) {
    return new ImportFailure('ServerError: The sandbox ran out of space while it converted this disk.', {
      cause: error,
    });
  }
  const isDamaged = error instanceof LandfallError && error.code === 'tool-failed' && !error.retryable;
  if (isDamaged && format === 'vmdk') {
    return new ImportFailure('ClientError: Uncompressed data has an invalid length', { cause: error });
  }
  if (isDamaged) {
    return new ImportFailure(
      `ClientError: Disk validation failed [Unsupported ${format.toUpperCase()} File Format]`,
      {
        cause: error,
      },
    );
  }
  return new ImportFailure('ServerError: An internal error has occurred during conversion.', {
    cause: error,
  });
}

function mib(bytes: number): number {
  return Math.ceil(bytes / 1024 ** 2);
}
