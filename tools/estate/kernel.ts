/** A Linux kernel out of Debian's package, without installing it: works for any user. */
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { asLandfallError, LandfallError } from '../../src/domain/errors.ts';
import { pickEnvironment, runTool } from '../../src/processes/child.ts';
import { provideFolder } from './cached-folder.ts';

export type Kernel = {
  image: string;
  /** Module files in the order in which they are to be loaded. */
  modules: readonly string[];
};

export type KernelOptions = { cacheFolder: string; signal?: AbortSignal; log: (line: string) => void };

/** Depends on the current kernel of Debian's cloud images, whose NVMe and ext4 drivers are built in. */
const META_PACKAGE = 'linux-image-cloud-amd64';

/** How apt reaches its servers, where the environment says it. */
const APT_VARIABLES = ['http_proxy', 'https_proxy', 'no_proxy', 'APT_CONFIG'];

/** What the guests need and that kernel has as modules: FAT, the power button with its events, the disks of KVM. */
const MODULES = ['vfat', 'nls_cp437', 'nls_ascii', 'button', 'evdev', 'virtio_pci', 'virtio_blk'];

export async function provideKernel({ cacheFolder, signal, log }: KernelOptions): Promise<Kernel> {
  const folder = join(cacheFolder, 'kernel');
  const build = async (partial: string): Promise<void> => {
    const root = await downloadKernel({ folder: partial, log, ...(signal && { signal }) });
    await keepNeeded(root, partial);
    await rm(root, { recursive: true });
  };
  await provideFolder({ folder, recipe: MODULES.join(' '), build, ...(signal && { signal }) });
  const order = await readFile(join(folder, 'order'), 'utf8');
  return {
    image: join(folder, 'vmlinuz'),
    modules: order.split('\n').map((name) => join(folder, name)),
  };
}

type Download = { folder: string; signal?: AbortSignal; log: (line: string) => void };

/** The folder into which the package was unpacked. */
async function downloadKernel({ folder, signal, log }: Download): Promise<string> {
  log(`fetching ${META_PACKAGE} from Debian (about 30 MB)`);
  const environment = pickEnvironment(APT_VARIABLES);
  const download = { cwd: folder, environment, ...(signal && { signal }) };
  try {
    await fetchPackage(download, []);
  } catch (error) {
    signal?.throwIfAborted();
    log(
      `the package lists of this machine do not lead to it (${asLandfallError(error).message}): fetching lists of our own`,
    );
    await fetchWithOwnLists(folder, download);
  }
  const names = await readdir(folder);
  const name = names.find((candidate) => candidate.endsWith('.deb'));
  if (name === undefined) throw unavailable('apt-get download left no file');
  const root = join(folder, 'root');
  await runTool({ command: 'dpkg', args: ['-x', name, root], ...download });
  await rm(join(folder, name));
  return root;
}

type Place = { cwd: string; environment: Record<string, string>; signal?: AbortSignal };

async function fetchPackage(place: Place, aptOptions: readonly string[]): Promise<void> {
  const { stdout } = await runTool({
    command: 'apt-cache',
    args: [...aptOptions, 'depends', '--important', META_PACKAGE],
    ...place,
  });
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name === undefined) throw unavailable(`${META_PACKAGE} is not in the package lists`);
  // As root, apt drops to a user who may not write here, and then says so at length.
  await runTool({
    command: 'apt-get',
    args: [...aptOptions, '-o', 'APT::Sandbox::User=root', 'download', '-q', name],
    timeoutMs: 300_000,
    ...place,
  });
}

/** Lists may be missing (container images) or so old that the version they name is gone. */
async function fetchWithOwnLists(folder: string, place: Place): Promise<void> {
  const lists = join(folder, 'lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  const aptOptions = ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${join(folder, 'cache')}`];
  const update = ['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Languages=none', '-q', 'update'];
  try {
    await runTool({ command: 'apt-get', args: [...aptOptions, ...update], timeoutMs: 300_000, ...place });
    await fetchPackage(place, aptOptions);
  } catch (cause) {
    place.signal?.throwIfAborted();
    throw unavailable(asLandfallError(cause).message);
  } finally {
    await rm(lists, { recursive: true, force: true });
    await rm(join(folder, 'cache'), { recursive: true, force: true });
  }
}

async function keepNeeded(root: string, folder: string): Promise<void> {
  const boot = await readdir(join(root, 'boot'));
  const image = boot.find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw unavailable('the package holds no kernel image');
  await rename(join(root, 'boot', image), join(folder, 'vmlinuz'));
  const files = await moduleFiles(root);
  const order: string[] = [];
  for (const name of MODULES) await addModule({ name, files, order, folder });
  await writeFile(join(folder, 'order'), order.join('\n'));
}

/** Module names to files. Names have underscores where files may have dashes. */
async function moduleFiles(root: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const entries = await readdir(join(root, 'lib', 'modules'), { recursive: true });
  for (const path of entries) {
    if (path.endsWith('.ko'))
      found.set(basename(path, '.ko').replaceAll('-', '_'), join(root, 'lib/modules', path));
  }
  return found;
}

type Addition = { name: string; files: ReadonlyMap<string, string>; order: string[]; folder: string };

/** Its dependencies first. A module that is built in has no file and is left out. */
async function addModule({ name, files, order, folder }: Addition): Promise<void> {
  const file = files.get(name.replaceAll('-', '_'));
  if (file === undefined || order.includes(basename(file))) return;
  const depends = /\0depends=([^\0]*)/.exec(await readFile(file, 'latin1'))?.[1] ?? '';
  for (const dependency of depends.split(',')) await addModule({ name: dependency, files, order, folder });
  await copyFile(file, join(folder, basename(file)));
  order.push(basename(file));
}

function unavailable(reason: string): LandfallError {
  return new LandfallError({
    code: 'tool-missing',
    message: `The kernel for the estate could not be fetched from Debian: ${reason}. Check that apt's sources are those of Debian and that they can be reached (\`apt-get update\`), then try again.`,
    retryable: true,
  });
}
