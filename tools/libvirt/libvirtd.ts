/**
 * A libvirt of one's own, for tests and the demo: its configuration, its sockets, its images and its guests are in one
 * temporary folder, so that it neither sees nor disturbs that of the host. libvirtd as root would use the host's folders;
 * it runs as nobody.
 */
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningTool, runTool, startTool, tryTool } from '../../src/processes/child.ts';

export type OwnLibvirt = AsyncDisposable & {
  /** For virsh and for the source. */
  uri: string;
  socketPath: string;
  /** Guests may use what lies here; `give` makes files theirs. */
  folder: string;
  give(...paths: string[]): Promise<void>;
  virsh(...args: string[]): Promise<string>;
  /** Defines a domain; gives its uuid. */
  define(xml: string): Promise<string>;
  /** Ends libvirtd, as an upgrade or a crash would; guests live on. */
  stop(): Promise<void>;
  start(): Promise<void>;
};

const NOBODY = 65534;
const PATIENCE_MS = 20_000;
const isRoot = process.getuid?.() === 0;

/** `tls`: it also listens on this port of loopback, with the certificates in this folder (throw-away-ca.ts). */
export type LibvirtOptions = { tls?: { port: number; certificates: string } };

export async function startLibvirt({ tls }: LibvirtOptions = {}): Promise<OwnLibvirt> {
  const folder = await mkdtemp(join(tmpdir(), 'lf-virt-'));
  const socketPath = join(folder, 's', 'libvirt-sock');
  const uri = `qemu+unix:///session?socket=${socketPath}`;
  await writeConfiguration(folder, tls);
  let server: RunningTool | null = null;
  const give = async (...paths: string[]) => {
    if (isRoot) for (const path of paths) await chown(path, NOBODY, NOBODY);
  };
  const virsh = async (...args: string[]) =>
    (await runTool({ command: 'virsh', args: ['-q', '-c', uri, ...args] })).stdout;
  const start = async () => {
    server = await startDaemon(folder, tls === undefined ? [] : ['--listen']);
    const answers = () => tryTool({ command: 'virsh', args: ['-q', '-c', uri, 'list'] });
    await until(async () => (await answers()).exitCode === 0, 'libvirtd to answer');
  };
  const stop = async () => {
    await server?.stop();
    server = null;
  };
  await start();
  return {
    uri,
    socketPath,
    folder,
    give,
    virsh,
    define: async (xml) => {
      const path = join(folder, 'domain.xml');
      await writeFile(path, xml);
      await virsh('define', path);
      const [, name = ''] = /<name>(.*?)<\/name>/.exec(xml) ?? [];
      return (await virsh('domuuid', name)).trim();
    },
    start,
    stop,
    [Symbol.asyncDispose]: async () => {
      await endGuests(folder);
      await stop();
      await endGuests(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function writeConfiguration(folder: string, tls: LibvirtOptions['tls']): Promise<void> {
  const own = ['r', 'c', 'c/libvirt', 'ca', 'd', 's', 'images'].map((name) => join(folder, name));
  for (const path of own) await mkdir(path);
  await writeFile(
    join(folder, 'libvirtd.conf'),
    `auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_dir = "${folder}/s"\n${tls === undefined ? '' : listening(tls)}`,
  );
  // virtlogd, its other choice, would have to be started, too.
  await writeFile(join(folder, 'c/libvirt/qemu.conf'), 'stdio_handler = "file"\n');
  if (!isRoot) return;
  await chmod(folder, 0o711);
  for (const path of own) await chown(path, NOBODY, NOBODY);
}

function listening({ port, certificates }: { port: number; certificates: string }): string {
  const file = (name: string): string => `"${join(certificates, name)}"`;
  return `listen_tls = 1
listen_tcp = 0
listen_addr = "127.0.0.1"
tls_port = "${port}"
auth_tls = "none"
ca_file = ${file('cacert.pem')}
cert_file = ${file('servercert.pem')}
key_file = ${file('serverkey.pem')}
`;
}

async function startDaemon(folder: string, more: readonly string[]): Promise<RunningTool> {
  const daemon = ['libvirtd', '--config', join(folder, 'libvirtd.conf'), ...more];
  const asNobody = [
    'setpriv',
    `--reuid=${NOBODY}`,
    `--regid=${NOBODY}`,
    '--clear-groups',
    '--inh-caps=-all',
    '--',
    // Changing the user forgets whose death it should follow.
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
  ];
  return await startTool({
    command: 'env',
    args: [...(isRoot ? asNobody : []), ...daemon],
    environment: {
      PATH: `${process.env.PATH}:/usr/sbin:/sbin`,
      HOME: join(folder, 'd'),
      XDG_RUNTIME_DIR: join(folder, 'r'),
      XDG_CONFIG_HOME: join(folder, 'c'),
      XDG_CACHE_HOME: join(folder, 'ca'),
      XDG_DATA_HOME: join(folder, 'd'),
    },
  });
}

/** libvirt's guests outlive it. Each is found by the file that holds its process id, and is ours by its arguments. */
async function endGuests(folder: string): Promise<void> {
  const runFolder = join(folder, 'r/libvirt/qemu/run');
  for (const name of await readdir(runFolder).catch(() => [])) {
    if (!name.endsWith('.pid')) continue;
    const pid = Number(await readFile(join(runFolder, name), 'utf8').catch(() => ''));
    const isOurs = pid > 1 && (await commandLineOf(pid)).includes(folder);
    if (!isOurs) continue;
    process.kill(pid, 'SIGKILL');
    const isGone = async () => (await commandLineOf(pid)) === '';
    await until(isGone, `the guest's process ${pid} to end`);
  }
}

async function until(isReached: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isReached())) {
    if (performance.now() > deadline) throw new Error(`Waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
    await sleep(50);
  }
}

/** Empty once it ended, zombies included. */
export function commandLineOf(pid: number): Promise<string> {
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
}
