/** Raw disk images made without mounts and without root. Each holds its content in `/content` of its own file system. */
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runTool } from '../../src/processes/child.ts';
import { type ContentFile, writeContent } from './content.ts';
import { GRUB_CONFIG, type GuestKit } from './guest-kit.ts';

export type BootDisk = {
  /** The raw image to be made. */
  path: string;
  lengthBytes: number;
  content: readonly ContentFile[];
  kit: GuestKit;
  /** What the guest's init is told, for example `guest_name=shop-db`. */
  kernelArguments: string;
  signal?: AbortSignal;
};

export type DataDisk = {
  path: string;
  lengthBytes: number;
  content: readonly ContentFile[];
  /** The disk's number at its machine: the guest finds it by its label. */
  number: number;
  signal?: AbortSignal;
};

const SECTOR_BYTES = 512;
const MIB = 1024 * 1024;
const FIRST_SECTOR = MIB / SECTOR_BYTES;
/** The UEFI system partition: kernel, initramfs and loader take 20 MiB; FAT32 needs 65,525 clusters, of 512 bytes each here. */
const ESP_BYTES = 64 * MIB;
/** The partition table follows the boot code. */
const BOOT_CODE_BYTES = 440;
const MBR_CODE = '/usr/lib/syslinux/mbr/mbr.bin';

/** MBR, one active FAT32 partition with syslinux, kernel and content. */
export async function makeBiosDisk(disk: BootDisk): Promise<void> {
  const { path, lengthBytes, content, kit, kernelArguments, signal } = disk;
  await using work = await openWorkFolder(path);
  await createSparse(path, lengthBytes);
  await partition(path, `label: dos\nstart=${FIRST_SECTOR}, type=c, bootable\n`, signal);
  const sectors = lengthBytes / SECTOR_BYTES - FIRST_SECTOR;
  await formatFat({ path, sectors, label: 'LANDFALL-0', sectorsPerCluster: 4, signal });
  const label = `LABEL linux\nKERNEL /vmlinuz\nINITRD /initrd.img\nAPPEND ${kernelArguments}\n`;
  await writeFile(join(work.folder, 'syslinux.cfg'), `DEFAULT linux\nPROMPT 0\n${label}`);
  await writeContent(join(work.folder, 'content'), content);
  const files = [kit.kernel, kit.initramfs, join(work.folder, 'syslinux.cfg'), join(work.folder, 'content')];
  await copyToFat({ path, files, signal });
  await run('syslinux', ['--install', '--offset', String(MIB), path], signal);
  await writeBootCode(path);
}

/** GPT, a UEFI system partition with GRUB and the kernel, and an ext4 partition with the content. */
export async function makeUefiDisk(disk: BootDisk): Promise<void> {
  const { path, lengthBytes, content, kit, kernelArguments, signal } = disk;
  await using work = await openWorkFolder(path);
  await createSparse(path, lengthBytes);
  const espSectors = ESP_BYTES / SECTOR_BYTES;
  const rootSector = FIRST_SECTOR + espSectors;
  const table = [`start=${FIRST_SECTOR}, size=${espSectors}, type=uefi`, `start=${rootSector}, type=linux`];
  await partition(path, `label: gpt\n${table.join('\n')}\n`, signal);
  await formatFat({ path, sectors: espSectors, label: 'ESP', sectorsPerCluster: 1, signal });
  const script = `set gfxpayload=keep\nlinux /vmlinuz ${kernelArguments}\ninitrd /initrd.img\nboot\n`;
  await writeFile(join(work.folder, 'grub.cfg'), script);
  await run('mmd', ['-i', fatAt(path), '::/EFI', '::/EFI/BOOT', '::/landfall'], signal);
  await copyToFat({ path, files: [kit.kernel, kit.initramfs], signal });
  await copyToFat({ path, files: [kit.efiLoader], to: '::/EFI/BOOT/BOOTX64.EFI', signal });
  await copyToFat({ path, files: [join(work.folder, 'grub.cfg')], to: `::${GRUB_CONFIG}`, signal });
  await writeContent(join(work.folder, 'root', 'content'), content);
  await formatExt4({
    path,
    folder: join(work.folder, 'root'),
    label: 'LANDFALL-0',
    offsetBytes: rootSector * SECTOR_BYTES,
    // The last MiB is left to the partition table's copy.
    lengthBytes: lengthBytes - rootSector * SECTOR_BYTES - MIB,
    signal,
  });
}

/** The whole disk is one ext4 file system, without a partition table. */
export async function makeDataDisk({ path, lengthBytes, content, number, signal }: DataDisk): Promise<void> {
  await using work = await openWorkFolder(path);
  await createSparse(path, lengthBytes);
  await writeContent(join(work.folder, 'content'), content);
  const label = `LANDFALL-${number}`;
  await formatExt4({ path, folder: work.folder, label, offsetBytes: 0, lengthBytes, signal });
}

async function openWorkFolder(path: string): Promise<AsyncDisposable & { folder: string }> {
  const folder = await mkdtemp(join(dirname(path), 'disk-'));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

async function createSparse(path: string, lengthBytes: number): Promise<void> {
  await writeFile(path, '');
  await truncate(path, lengthBytes);
}

/** sfdisk reads its script from standard input only. */
async function partition(path: string, script: string, signal: AbortSignal | undefined): Promise<void> {
  const file = `${path}.sfdisk`;
  await writeFile(file, script);
  await run(
    'sh',
    ['-c', 'exec sfdisk --quiet --no-reread --no-tell-kernel "$1" <"$2"', 'sh', path, file],
    signal,
  );
  await rm(file);
}

type FatFormat = {
  path: string;
  sectors: number;
  label: string;
  sectorsPerCluster: number;
  signal: AbortSignal | undefined;
};

async function formatFat({ path, sectors, label, sectorsPerCluster, signal }: FatFormat): Promise<void> {
  const shape = ['-F', '-T', String(sectors), '-H', String(FIRST_SECTOR), '-c', String(sectorsPerCluster)];
  await run('mformat', ['-i', fatAt(path), ...shape, '-v', label, '::'], signal);
}

type FatCopy = { path: string; files: readonly string[]; to?: string; signal: AbortSignal | undefined };

async function copyToFat({ path, files, to = '::/', signal }: FatCopy): Promise<void> {
  await run('mcopy', ['-s', '-i', fatAt(path), ...files, to], signal);
}

type Ext4Format = {
  path: string;
  /** What becomes the file system's root. */
  folder: string;
  label: string;
  offsetBytes: number;
  lengthBytes: number;
  signal: AbortSignal | undefined;
};

async function formatExt4({
  path,
  folder,
  label,
  offsetBytes,
  lengthBytes,
  signal,
}: Ext4Format): Promise<void> {
  const place = ['-E', `offset=${offsetBytes},root_owner=0:0`, '-d', folder];
  const blocks = `${Math.floor(lengthBytes / 1024)}k`;
  await run('mkfs.ext4', ['-q', '-F', '-L', label, '-m', '0', ...place, path, blocks], signal);
}

async function writeBootCode(path: string): Promise<void> {
  const code = await readFile(MBR_CODE);
  const file = await open(path, 'r+');
  try {
    await file.write(code, 0, Math.min(code.byteLength, BOOT_CODE_BYTES), 0);
  } finally {
    await file.close();
  }
}

/** mtools' notation for the file system that begins 1 MiB into the image. */
function fatAt(path: string): string {
  return `${path}@@${MIB}`;
}

async function run(command: string, args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  // Debian keeps sfdisk and mkfs in folders that are not on every user's PATH.
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  await runTool({
    command,
    args,
    environment: { PATH: path, MTOOLS_SKIP_CHECK: '1' },
    ...(signal && { signal }),
  });
}
