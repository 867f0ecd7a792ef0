/** What every guest of the estate boots with: kernel, initramfs, and GRUB as one file for UEFI. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { runTool } from '../../src/processes/child.ts';
import { provideFolder } from './cached-folder.ts';
import { type CpioEntry, packCpio } from './cpio.ts';
import { type Kernel, type KernelOptions, provideKernel } from './kernel.ts';
import { estateRecipe } from './recipe.ts';

export type GuestKit = { kernel: string; initramfs: string; efiLoader: string; recipe: string };

const BUSYBOX = '/bin/busybox';
const APPLETS = [
  'sh',
  'mount',
  'cat',
  'insmod',
  'sleep',
  'uname',
  'tr',
  'dd',
  'mkdir',
  'findfs',
  'sha256sum',
];
const POWER_APPLETS = ['poweroff'];

/** GRUB looks for its commands on the disk, so one loader serves every guest. */
export const GRUB_CONFIG = '/landfall/grub.cfg';
const GRUB_SCRIPT = `search --no-floppy --set=root --file ${GRUB_CONFIG}\nconfigfile ${GRUB_CONFIG}\n`;
const GRUB_MODULES = 'part_gpt fat search search_fs_file normal configfile efi_gop linux';

/** Kept in the cache folder and made anew when its recipe changed. Safe to call at once from several processes. */
export async function provideGuestKit(options: KernelOptions): Promise<GuestKit> {
  const { cacheFolder, signal, log } = options;
  const recipe = await estateRecipe(signal);
  const kernel = await provideKernel(options);
  const folder = join(cacheFolder, 'guest-kit');
  const build = async (partial: string): Promise<void> => {
    log('composing the initramfs and the UEFI boot loader');
    await writeFile(join(partial, 'initrd.img'), await composeInitramfs(kernel));
    await buildLoader(partial, signal);
  };
  await provideFolder({ folder, recipe, build, ...(signal && { signal }) });
  return {
    kernel: kernel.image,
    initramfs: join(folder, 'initrd.img'),
    efiLoader: join(folder, 'BOOTX64.EFI'),
    recipe,
  };
}

async function composeInitramfs({ modules }: Kernel): Promise<Buffer> {
  const entries: CpioEntry[] = [
    ...['bin', 'dev', 'proc', 'sys', 'modules', 'disk'].map((path) => ({ kind: 'folder', path }) as const),
    { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'bin/busybox', bytes: await readFile(BUSYBOX), isExecutable: true },
    ...[...APPLETS, ...POWER_APPLETS].map(
      (name) => ({ kind: 'link', path: `bin/${name}`, to: 'busybox' }) as const,
    ),
    {
      kind: 'file',
      path: 'init',
      bytes: await readFile(join(import.meta.dirname, 'guest-init.sh')),
      isExecutable: true,
    },
    {
      kind: 'file',
      path: 'modules/order',
      bytes: Buffer.from(modules.map((path) => basename(path)).join('\n')),
    },
  ];
  for (const path of modules) {
    entries.push({ kind: 'file', path: `modules/${basename(path)}`, bytes: await readFile(path) });
  }
  return promisify(gzip)(packCpio(entries));
}

async function buildLoader(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const script = join(folder, 'grub.cfg');
  await writeFile(script, GRUB_SCRIPT);
  const small = ['--fonts=', '--locales=', '--themes=', `--install-modules=${GRUB_MODULES}`];
  await runTool({
    command: 'grub-mkstandalone',
    args: [
      ...['--format=x86_64-efi', `--modules=${GRUB_MODULES}`, ...small],
      ...[`--output=${join(folder, 'BOOTX64.EFI')}`, `boot/grub/grub.cfg=${script}`],
    ],
    ...(signal && { signal }),
  });
}
