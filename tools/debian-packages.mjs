/**
 * The Debian packages that Landfall needs, each with its reason, and how missing ones are found and installed. Plain
 * JavaScript: it runs on Node 20 before anything is installed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What somebody wants to do, each with what it builds on. */
const BUILDS_ON = { run: null, demo: 'run', weekend: 'demo', test: 'weekend', bench: 'test', peers: 'test' };
export const PURPOSES = Object.keys(BUILDS_ON);

/**
 * `gives` is a command, or an absolute path, that tells whether the package is there where there is no dpkg. With
 * `fromAnywhere`, what it gives is good from wherever it came: a Go from go.dev does, and 60 MB need not be installed.
 * @typedef {{ name: string, purpose: string, gives: string, why: string, fromAnywhere?: boolean }} DebianPackage
 * @type {readonly DebianPackage[]}
 */
export const DEBIAN_PACKAGES = [
  { name: 'qemu-utils', purpose: 'run', gives: 'qemu-img', why: 'reads disk images' },
  {
    name: 'libdeflate0',
    purpose: 'run',
    gives: '/usr/lib/x86_64-linux-gnu/libdeflate.so.0',
    why: 'deflates twice as fast as zlib',
  },
  {
    name: 'redis-server',
    purpose: 'run',
    gives: 'redis-server',
    why: 'keeps runs where no REDIS_URL is set',
  },
  {
    name: 'util-linux',
    purpose: 'run',
    gives: 'setpriv',
    why: 'limits child processes and ends them with us',
  },
  {
    name: 'qemu-system-x86',
    purpose: 'run',
    gives: 'qemu-system-x86_64',
    why: "boots the sandbox's instances",
  },
  { name: 'ovmf', purpose: 'run', gives: '/usr/share/OVMF', why: 'UEFI firmware for those instances' },
  { name: 'openssl', purpose: 'run', gives: 'openssl', why: "makes the certificate of the sandbox's Azure" },
  { name: 'libvirt-clients', purpose: 'run', gives: 'virsh', why: 'speaks to KVM hosts' },
  { name: 'busybox-static', purpose: 'demo', gives: '/bin/busybox', why: "the demo guests' user space" },
  { name: 'syslinux', purpose: 'demo', gives: 'syslinux', why: 'makes a disk boot by BIOS' },
  { name: 'syslinux-common', purpose: 'demo', gives: '/usr/lib/syslinux', why: 'boot code for BIOS disks' },
  { name: 'grub-common', purpose: 'demo', gives: 'grub-mkstandalone', why: 'makes a disk boot by UEFI' },
  {
    name: 'grub-efi-amd64-bin',
    purpose: 'demo',
    gives: '/usr/lib/grub/x86_64-efi',
    why: 'boot code for UEFI disks',
  },
  { name: 'mtools', purpose: 'demo', gives: 'mcopy', why: 'fills FAT file systems without a mount' },
  { name: 'dosfstools', purpose: 'demo', gives: 'mkfs.vfat', why: 'makes FAT file systems' },
  { name: 'e2fsprogs', purpose: 'demo', gives: 'mkfs.ext4', why: 'makes ext4 file systems' },
  { name: 'fdisk', purpose: 'demo', gives: 'sfdisk', why: 'partitions disks' },
  {
    name: 'chromium',
    purpose: 'test',
    gives: 'chromium',
    why: 'opens the dashboard as operators do',
  },
  { name: 'nbdkit', purpose: 'test', gives: 'nbdkit', why: 'serves slow and failing disks to tests' },
  { name: 'libnbd-bin', purpose: 'test', gives: 'nbdcopy', why: 'a second NBD client to compare with' },
  { name: 'nbd-server', purpose: 'test', gives: 'nbd-server', why: 'a plain NBD server to read from' },
  { name: 'libvirt-daemon', purpose: 'weekend', gives: 'libvirtd', why: 'a KVM host to move machines from' },
  {
    name: 'libvirt-daemon-driver-qemu',
    purpose: 'weekend',
    gives: '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
    why: "runs that host's guests",
  },
  { name: 'openssh-server', purpose: 'test', gives: 'sshd', why: 'a way to a remote KVM host' },
  { name: 'docker-compose', purpose: 'test', gives: 'docker-compose', why: 'checks docker-compose.yml' },
  {
    name: 'golang-go',
    purpose: 'peers',
    gives: 'go',
    why: 'builds versitygw, an S3 server to test with',
    fromAnywhere: true,
  },
  {
    name: 'python3-venv',
    purpose: 'peers',
    gives: 'python3',
    why: 'holds moto, an EBS look-alike to test with',
  },
  { name: 'rclone', purpose: 'bench', gives: 'rclone', why: 'copies to S3, to be measured beside Landfall' },
];

const POLICY_FILE = '/usr/sbin/policy-rc.d';
const POLICY_MARK = 'made by landfall set-up, process ';
/** invoke-rc.d's "action forbidden by policy". */
const FORBIDDEN = 101;
/** Another apt may be at work, for example unattended-upgrades on a fresh machine. */
const LOCK_TIMEOUT_SECONDS = 300;

/** @param {string} purpose */
export function packagesFor(purpose) {
  const included = new Set();
  for (let each = purpose; each; each = BUILDS_ON[each]) included.add(each);
  return DEBIAN_PACKAGES.filter((each) => included.has(each.purpose));
}

/** @param {NodeJS.ProcessEnv} environment */
export function isDebian(environment = process.env) {
  return hasCommand('dpkg-query', environment) && hasCommand('apt-get', environment);
}

/**
 * Asks dpkg once, or, where there is none, looks for what the packages give.
 * @param {readonly DebianPackage[]} packages
 */
export function findMissing(packages, environment = process.env) {
  if (!isDebian(environment)) return packages.filter(({ gives }) => !isThere(gives, environment));
  const asked = packages.filter(({ fromAnywhere, gives }) => !(fromAnywhere && isThere(gives, environment)));
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own syntax
  const format = '${db:Status-Status} ${Package}\\n';
  const names = asked.map(({ name }) => name);
  // Its status is 1 when it does not know one of them; the others are printed all the same.
  const { stdout } = spawnSync('dpkg-query', ['--show', `--showformat=${format}`, ...names], {
    encoding: 'utf8',
    env: environment,
  });
  const installed = new Set((stdout ?? '').split('\n'));
  return asked.filter(({ name }) => !installed.has(`installed ${name}`));
}

/** The one line that installs them, for a person to run. */
export function installLine(packages) {
  const names = packages.map(({ name }) => name).join(' ');
  return `sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${names}`;
}

/**
 * Installs as root. Services that come along (redis-server) are not started: Landfall runs a Redis of its own, and a
 * port that somebody else's service holds is no business of a set-up.
 * @param {readonly DebianPackage[]} packages
 * @returns {Promise<boolean>} whether apt-get succeeded
 */
export async function installPackages(
  packages,
  { environment = process.env, policyFile = POLICY_FILE } = {},
) {
  const env = { ...environment, DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1' };
  // Without a pty, apt prints no progress percentages into logs.
  const quiet = ['--quiet', '-o', 'Dpkg::Use-Pty=0', '-o', `DPkg::Lock::Timeout=${LOCK_TIMEOUT_SECONDS}`];
  const names = packages.map(({ name }) => name);
  const forbid = forbidServices(policyFile);
  try {
    // A mirror that is away does not matter while the lists at hand are good enough: install decides.
    await runApt(['update', ...quiet], env);
    return await runApt(['install', '--yes', '--no-install-recommends', ...quiet, ...names], env);
  } finally {
    forbid.lift();
  }
}

/** Never touches a policy that is somebody else's; takes over one that a killed set-up left behind. */
function forbidServices(policyFile) {
  const leftBehind = readOwner(policyFile);
  if (leftBehind !== null && !isAlive(leftBehind)) rmSync(policyFile, { force: true });
  try {
    const script = `#!/bin/sh\n# ${POLICY_MARK}${process.pid}; removed at its end\nexit ${FORBIDDEN}\n`;
    writeFileSync(policyFile, script, { flag: 'wx', mode: 0o755 });
  } catch (error) {
    if (error.code === 'EEXIST') return { lift: () => {} };
    throw error;
  }
  // apt-get gets the terminal's signals too and ends by itself; we stay until it did, to lift the policy.
  const stay = () => {};
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stay);
  return {
    lift: () => {
      rmSync(policyFile, { force: true });
      for (const signal of signals) process.off(signal, stay);
    },
  };
}

function readOwner(policyFile) {
  try {
    const found = new RegExp(`${POLICY_MARK}(\\d+)`).exec(readFileSync(policyFile, 'utf8'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function runApt(args, env) {
  return new Promise((resolve) => {
    const child = spawn('apt-get', args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', () => resolve(false));
    child.once('close', (status) => resolve(status === 0));
  });
}

function isThere(gives, environment) {
  return gives.startsWith('/') ? canAccess(gives, constants.F_OK) : hasCommand(gives, environment);
}

function hasCommand(name, environment) {
  // The administrator's folders are not on an ordinary user's PATH, but mkfs.ext4 and sfdisk live there.
  const folders = [...(environment.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => canAccess(join(folder, name), constants.X_OK));
}

function canAccess(path, mode) {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
