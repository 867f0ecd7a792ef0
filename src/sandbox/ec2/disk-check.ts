/** Is an uploaded file what its import says it is? Each format's own checks, then the header guard, then the limits. */
import { open } from 'node:fs/promises';
import { LandfallError } from '../../domain/errors.ts';
import { inspectHeader } from '../../images/header-guard.ts';
import { openWindow } from './file-window.ts';
import { type ImportFailure, invalidDisk, unsupportedFormat } from './import-failure.ts';
import { GIB, type ImportFormat } from './state.ts';
import { checkVhd } from './vhd-check.ts';
import { checkVmdk } from './vmdk-check.ts';

export type CheckedDisk = { bytes: number; format: 'vmdk' | 'vhd' | 'raw' | 'vhdx' };

export type DiskCheck = { file: string; format: ImportFormat; signal: AbortSignal };

/** https://docs.aws.amazon.com/vm-import/latest/userguide/limitations-image-importing.html: larger disks want a manifest. */
const MAX_DISK_BYTES = 8 * 1024 * GIB;

const QEMU_FORMATS = { VMDK: 'vmdk', VHD: 'vhd', RAW: 'raw', VHDX: 'vhdx' } as const;

/** Throws ImportFailure with AWS's message; what the guard found is its cause. */
export async function checkDisk({ file, format, signal }: DiskCheck): Promise<CheckedDisk> {
  await checkBytes(file, format);
  const qemuFormat = QEMU_FORMATS[format];
  const { bytes } = await guard({ file, format, signal });
  if (bytes > MAX_DISK_BYTES) {
    throw invalidDisk(
      `Disk size of ${Math.ceil(bytes / GIB)} GiB exceeds the limit of ${MAX_DISK_BYTES / GIB} GiB`,
    );
  }
  return { bytes, format: qemuFormat };
}

async function checkBytes(file: string, format: ImportFormat): Promise<void> {
  await using handle = await open(file, 'r');
  const window = await openWindow(handle);
  const head = await window.read(0, 2);
  if (head === null) throw invalidDisk('The file is empty');
  if (head.equals(GZIP_MAGIC)) throw invalidDisk('Unsupported specified file format');
  switch (format) {
    case 'VMDK':
      return await checkVmdk(window);
    case 'VHD':
      return await checkVhd(window);
    case 'RAW':
      if (window.bytes % 512 !== 0) {
        throw invalidDisk(`The size of a RAW disk must be a multiple of 512 bytes, and is ${window.bytes}`);
      }
      return;
    case 'VHDX':
      return;
    default:
      return format satisfies never;
  }
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

async function guard({ file, format, signal }: DiskCheck): Promise<{ bytes: number }> {
  const slice = { path: file, offsetBytes: 0, lengthBytes: null };
  try {
    return await inspectHeader(slice, { format: QEMU_FORMATS[format], signal });
  } catch (error) {
    if (!(error instanceof LandfallError) || !error.code.startsWith('image-')) throw error;
    const failure: ImportFailure = unsupportedFormat(format);
    failure.cause = error;
    throw failure;
  }
}
