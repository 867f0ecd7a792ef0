/** Small guests for tests, made in about a second from the cached kernel: one that boots, one that panics, one that is silent. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Firmware } from '../../src/domain/machine.ts';
import { type ExpectedContent, expectContent } from './build.ts';
import { randomContent } from './content.ts';
import { makeBiosDisk, makeUefiDisk } from './disks.ts';
import { provideGuestKit } from './guest-kit.ts';
import { type GuestKind, kernelArguments } from './kernel-arguments.ts';

export type TestGuestOptions = {
  /** Where the disk is made, as `NAME.raw`. */
  folder: string;
  kind: GuestKind;
  firmware: Firmware;
  /** Keeps the kernel and the boot files from one test to the next. */
  cacheFolder: string;
  name: string;
  signal?: AbortSignal;
};

export type TestGuest = { path: string; format: 'raw'; expected: readonly ExpectedContent[] };

const MIB = 1024 * 1024;

/** One disk with 1 MiB of content, whose hash the guest prints. */
export async function buildTestGuest(options: TestGuestOptions): Promise<TestGuest> {
  const { folder, kind, firmware, cacheFolder, name, signal } = options;
  const abort = signal && { signal };
  const kit = await provideGuestKit({ cacheFolder, log: () => undefined, ...abort });
  await mkdir(folder, { recursive: true });
  const path = join(resolve(folder), `${name}.raw`);
  const content = [randomContent(`${name}.bin`, MIB)];
  const disk = { path, content, kit, ...abort };
  if (firmware === 'bios') {
    const told = kernelArguments({ name, disks: ['vfat'], kind });
    await makeBiosDisk({ ...disk, lengthBytes: 192 * MIB, kernelArguments: told });
  } else {
    const told = kernelArguments({ name, disks: ['ext4'], kind });
    await makeUefiDisk({ ...disk, lengthBytes: 96 * MIB, kernelArguments: told });
  }
  return { path, format: 'raw', expected: expectContent(name, '0', content) };
}
