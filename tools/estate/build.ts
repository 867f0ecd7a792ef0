/**
 * Builds the on-prem estate that the demo and the tests migrate: **shop-db**, an appliance with BIOS and two disks, and
 * **shop-web**, a UEFI machine on one qcow2 disk. Each guest prints a hash of known content on every disk when it boots.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { runTool } from '../../src/processes/child.ts';
import { packAppliance } from './appliance.ts';
import { provideFolder } from './cached-folder.ts';
import { type ContentFile, mixedContent, randomContent, textContent } from './content.ts';
import { makeBiosDisk, makeDataDisk, makeUefiDisk } from './disks.ts';
import { type GuestKit, provideGuestKit } from './guest-kit.ts';
import { kernelArguments } from './kernel-arguments.ts';

export type EstateOptions = {
  /** Where the estate stands when it is done; also the name of what is reused the next time. */
  folder: string;
  /** Kernel and boot files, shared by every estate and test guest; `guest-cache` beside the folder by default. */
  cacheFolder?: string;
  signal?: AbortSignal;
  /** One line for each thing that takes time. */
  log: (line: string) => void;
};

export type Estate = {
  folder: string;
  /** Absolute paths: an OVA, a qcow2 disk. */
  shopDb: string;
  shopWeb: string;
  /** What each guest prints, as `landfall-guest disk DISK sha256 SHA256 FILE`. */
  expected: readonly ExpectedContent[];
};

export type ExpectedContent = { machine: string; disk: string; sha256: string; file: string };

const MIB = 1024 * 1024;

/** Takes half a minute the first time, with a download of 30 MB; nothing as long as its recipe stays the same. */
export async function buildEstate({ folder, cacheFolder, signal, log }: EstateOptions): Promise<Estate> {
  const place = resolve(folder);
  const cache = cacheFolder ?? join(dirname(place), 'guest-cache');
  const kit = await provideGuestKit({ cacheFolder: cache, log, ...(signal && { signal }) });
  const build = (partial: string): Promise<void> => fillEstate({ folder: partial, kit, log, signal });
  await provideFolder({ folder: place, recipe: kit.recipe, build, ...(signal && { signal }) });
  const expected = JSON.parse(await readFile(join(place, 'estate.json'), 'utf8')).expected;
  return {
    folder: place,
    shopDb: join(place, 'shop-db.ova'),
    shopWeb: join(place, 'shop-web.qcow2'),
    expected,
  };
}

type Building = {
  folder: string;
  kit: GuestKit;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
};

async function fillEstate(building: Building): Promise<void> {
  const expected = [...(await buildShopDb(building)), ...(await buildShopWeb(building))];
  const estate = { shopDb: 'shop-db.ova', shopWeb: 'shop-web.qcow2', expected };
  await writeFile(join(building.folder, 'estate.json'), `${JSON.stringify(estate, null, 2)}\n`);
}

async function buildShopDb({ folder, kit, log, signal }: Building): Promise<ExpectedContent[]> {
  log('building shop-db.ova: BIOS, a system disk and an ext4 data disk');
  const work = await mkdtemp(join(folder, 'shop-db-'));
  const system = join(work, 'disk0.raw');
  const data = join(work, 'disk1.raw');
  const catalogue = [randomContent('catalogue.bin', 16 * MIB)];
  const orders = [mixedContent('orders.db', 36 * MIB), textContent('orders.log', 12 * MIB)];
  const told = kernelArguments({ name: 'shop-db', disks: ['vfat', 'ext4'], kind: 'ok' });
  const abort = signal && { signal };
  await makeBiosDisk({
    path: system,
    lengthBytes: 256 * MIB,
    content: catalogue,
    kit,
    kernelArguments: told,
    ...abort,
  });
  await makeDataDisk({ path: data, lengthBytes: 512 * MIB, content: orders, number: 1, ...abort });
  await packAppliance({
    path: join(folder, 'shop-db.ova'),
    machine: {
      name: 'shop-db',
      cpus: 2,
      memoryBytes: 512 * MIB,
      firmware: 'bios',
      network: 'VM Network',
      mac: '00:50:56:9a:4d:10',
    },
    rawDisks: [system, data],
    ...abort,
  });
  await rm(work, { recursive: true });
  return [...expectContent('shop-db', '0', catalogue), ...expectContent('shop-db', '1', orders)];
}

async function buildShopWeb({ folder, kit, log, signal }: Building): Promise<ExpectedContent[]> {
  log('building shop-web.qcow2: UEFI, one disk');
  const raw = join(folder, 'shop-web.raw');
  const pages = [mixedContent('pages.bin', 24 * MIB)];
  const told = kernelArguments({ name: 'shop-web', disks: ['ext4'], kind: 'ok' });
  const abort = signal && { signal };
  await makeUefiDisk({
    path: raw,
    lengthBytes: 256 * MIB,
    content: pages,
    kit,
    kernelArguments: told,
    ...abort,
  });
  await runTool({
    command: 'qemu-img',
    args: ['convert', '-f', 'raw', '-O', 'qcow2', raw, join(folder, 'shop-web.qcow2')],
    ...abort,
  });
  await rm(raw);
  return expectContent('shop-web', '0', pages);
}

export function expectContent(
  machine: string,
  disk: string,
  content: readonly ContentFile[],
): ExpectedContent[] {
  return content.map(({ name, sha256 }) => ({ machine, disk, sha256, file: name }));
}
