import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ToolResult, tryTool } from '../../src/processes/child.ts';
import {
  DEBIAN_PACKAGES,
  findMissing,
  installLine,
  installPackages,
  packagesFor,
} from '../../tools/debian-packages.mjs';

const root = resolve(import.meta.dirname, '../..');

/** A folder with stand-ins for the commands that change a machine: each writes down how it was called. */
let machine: string;
let bin: string;
beforeEach(async () => {
  machine = await mkdtemp(join(tmpdir(), 'landfall-setup-'));
  bin = join(machine, 'bin');
  await mkdir(bin);
});
afterEach(() => rm(machine, { recursive: true }));

describe('this machine', () => {
  test('needs nothing more, and that is found out in less than a second', async () => {
    const startedAt = performance.now();
    const { exitCode, stdout } = await setUp(root, 'test', process.env.PATH ?? '');
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'Set-up for test: nothing is missing.' });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe('the npm packages of a clone', () => {
  let clone: string;
  beforeEach(async () => {
    clone = join(machine, 'clone');
    await mkdir(join(clone, 'node_modules/.bin'), { recursive: true });
    await cp(join(root, 'tools/setup.mjs'), join(clone, 'tools/setup.mjs'));
    await cp(join(root, 'tools/debian-packages.mjs'), join(clone, 'tools/debian-packages.mjs'));
    await symlink(process.execPath, join(clone, 'node_modules/.bin/node'));
    await standIn('npm', 'cp package-lock.json node_modules/.package-lock.json');
    await writeLock('package-lock.json', { 'node_modules/zod': { version: '4.0.0', integrity: 'sha512-a' } });
  });

  test('are installed where there are none, and then left alone', async () => {
    expect(await setUpNpm()).toContain('The npm packages are not installed: running npm ci.');
    expect(await calls('npm')).toEqual(['ci --no-audit --no-fund --loglevel=error']);
    expect(await setUpNpm()).not.toContain('npm ci');
    expect(await calls('npm')).toHaveLength(1);
  });

  test('are installed again when the lock file names another version', async () => {
    await setUpNpm();
    await writeLock('package-lock.json', { 'node_modules/zod': { version: '4.0.1', integrity: 'sha512-b' } });
    expect(await setUpNpm()).toContain('package-lock.json changed (zod): running npm ci.');
  });

  test('are installed again when an installation was cut off', async () => {
    await setUpNpm();
    await rm(join(clone, 'node_modules/.package-lock.json'));
    expect(await setUpNpm()).toContain('running npm ci');
  });

  test('for other platforms may be missing', async () => {
    await setUpNpm();
    const zod = { version: '4.0.0', integrity: 'sha512-a' };
    const other = { version: '1.0.0', integrity: 'sha512-c', optional: true };
    await writeLock('package-lock.json', { 'node_modules/zod': zod, 'node_modules/esbuild-darwin': other });
    expect(await setUpNpm()).not.toContain('npm ci');
  });

  test('that cannot be installed end the set-up', async () => {
    await standIn('npm', 'exit 1');
    const { exitCode, stderr } = await setUp(clone, 'run', path());
    expect(exitCode).toBe(1);
    expect(stderr).toContain('npm ci failed');
  });

  async function setUpNpm(): Promise<string> {
    return (await setUp(clone, 'run', path())).stdout;
  }

  async function writeLock(name: string, packages: object): Promise<void> {
    await writeFile(join(clone, name), JSON.stringify({ packages: { '': {}, ...packages } }));
  }
});

describe("the dashboard's page of a clone", () => {
  const BUILD = 'run --silent build:page';
  let clone: string;
  beforeEach(async () => {
    clone = join(machine, 'clone');
    await mkdir(join(clone, 'node_modules/.bin'), { recursive: true });
    await symlink(process.execPath, join(clone, 'node_modules/.bin/node'));
    await cp(join(root, 'tools/setup.mjs'), join(clone, 'tools/setup.mjs'));
    await cp(join(root, 'tools/debian-packages.mjs'), join(clone, 'tools/debian-packages.mjs'));
    await mkdir(join(clone, 'src/dashboard/page/shell'), { recursive: true });
    await writeFile(join(clone, 'src/dashboard/page/shell/shell.tsx'), '');
    await standIn('npm', 'mkdir -p dist/page && touch dist/page/index.html');
  });

  test('is built where there is none, and then left alone', async () => {
    expect((await setUp(clone, 'demo', path())).stdout).toContain('building it');
    expect(await calls('npm')).toEqual([BUILD]);
    expect((await setUp(clone, 'demo', path())).stdout).not.toContain('building it');
    expect(await calls('npm')).toEqual([BUILD]);
  });

  test('is built again when a source is newer, or was removed', async () => {
    await setUp(clone, 'demo', path());
    const source = join(clone, 'src/dashboard/page/shell/shell.tsx');
    const later = new Date(Date.now() + 10_000);
    await utimes(source, later, later);
    await setUp(clone, 'demo', path());
    expect(await calls('npm')).toEqual([BUILD, BUILD]);
    await rm(source);
    await utimes(join(clone, 'src/dashboard/page/shell'), later, later);
    await setUp(clone, 'demo', path());
    expect(await calls('npm')).toEqual([BUILD, BUILD, BUILD]);
  });

  test('that cannot be built ends the set-up', async () => {
    await standIn('npm', 'exit 1');
    const { exitCode, stderr } = await setUp(clone, 'demo', path());
    expect(exitCode).toBe(1);
    expect(stderr).toContain('could not be built');
  });

  test('is not asked for where nothing serves it, or where a package brings it built', async () => {
    await setUp(clone, 'run', path());
    await rm(join(clone, 'src'), { recursive: true });
    await setUp(clone, 'demo', path());
    await expect(calls('npm')).rejects.toThrow('ENOENT');
  });
});

describe('Debian packages', () => {
  test('for a purpose include those of the purposes that it builds on, each with a reason', () => {
    const names = (purpose: string) => packagesFor(purpose).map(({ name }) => name);
    expect(names('run')).toContain('qemu-utils');
    expect(names('run')).not.toContain('mtools');
    expect(names('demo')).toEqual(expect.arrayContaining([...names('run'), 'mtools', 'busybox-static']));
    expect(names('test')).toEqual(
      expect.arrayContaining([...names('demo'), 'nbdkit', 'nbd-server', 'openssl']),
    );
    for (const { why, gives } of DEBIAN_PACKAGES) expect([why, gives]).not.toContain('');
  });

  test('that only the tests against peers need are not asked for by the tests', () => {
    const names = (purpose: string) => packagesFor(purpose).map(({ name }) => name);
    expect(names('peers')).toEqual([...names('test'), 'golang-go', 'python3-venv']);
    expect(names('bench')).not.toContain('golang-go');
  });

  test('are not missing where what they give is good from anywhere, and is there', async () => {
    await standIn('apt-get', '');
    await standIn('dpkg-query', 'exit 1');
    const asked = DEBIAN_PACKAGES.filter(({ purpose }) => purpose === 'peers');
    const missing = () => findMissing(asked, { PATH: bin }).map(({ name }) => name);
    expect(missing()).toEqual(['golang-go', 'python3-venv']);
    await standIn('go', '');
    await standIn('python3', '');
    expect(missing()).toEqual(['python3-venv']);
  });

  test('that are missing are found in one question to dpkg, half-installed ones too', async () => {
    await standIn('apt-get', '');
    await standIn('dpkg-query', 'echo "installed redis-server"; echo "half-configured qemu-utils"; exit 1');
    const asked = packagesFor('run').filter(({ name }) =>
      ['redis-server', 'qemu-utils', 'ovmf'].includes(name),
    );
    expect(findMissing(asked, { PATH: path() }).map(({ name }) => name)).toEqual(['qemu-utils', 'ovmf']);
    expect(await calls('dpkg-query')).toHaveLength(1);
  });

  test('are looked for by what they give where there is no dpkg', async () => {
    await standIn('qemu-img', '');
    const asked = DEBIAN_PACKAGES.filter(({ name }) => ['qemu-utils', 'nbdkit'].includes(name));
    expect(findMissing(asked, { PATH: bin }).map(({ name }) => name)).toEqual(['nbdkit']);
  });

  test('are installed without questions, without extras and without starting services', async () => {
    const policyFile = join(machine, 'policy-rc.d');
    await standIn(
      'apt-get',
      `echo "$DEBIAN_FRONTEND" >>${machine}/frontend; sh ${policyFile} || echo $? >>${machine}/policy`,
    );
    expect(await install(policyFile)).toBe(true);
    const [update, installed] = await calls('apt-get');
    expect(update).toMatch(/^update /);
    expect(installed).toMatch(/^install --yes --no-install-recommends .* nbdkit$/);
    expect(await read('frontend')).toBe('noninteractive\nnoninteractive\n');
    expect(await read('policy')).toBe('101\n101\n');
    await expect(stat(policyFile)).rejects.toThrow('ENOENT');
  });

  test('leave no policy behind when apt-get fails, and say so', async () => {
    const policyFile = join(machine, 'policy-rc.d');
    await standIn('apt-get', 'exit 100');
    expect(await install(policyFile)).toBe(false);
    await expect(stat(policyFile)).rejects.toThrow('ENOENT');
  });

  test('are tried with the lists at hand when the mirror is away', async () => {
    await standIn('apt-get', 'test "$1" = install');
    expect(await install(join(machine, 'policy-rc.d'))).toBe(true);
  });

  test('never touch the policy of somebody else', async () => {
    const policyFile = join(machine, 'policy-rc.d');
    await writeFile(policyFile, '#!/bin/sh\nexit 0\n');
    await standIn('apt-get', '');
    await install(policyFile);
    expect(await read('policy-rc.d')).toBe('#!/bin/sh\nexit 0\n');
  });

  test('take away the policy of a set-up that was killed, and leave that of one that lives', async () => {
    const policyFile = join(machine, 'policy-rc.d');
    await standIn('apt-get', '');
    const { stdout: deadPid } = await tryTool({ command: 'sh', args: ['-c', 'echo $$'] });
    const mark = '#!/bin/sh\n# made by landfall set-up, process';
    await writeFile(policyFile, `${mark} ${deadPid}; removed at its end\nexit 101\n`);
    await install(policyFile);
    await expect(stat(policyFile)).rejects.toThrow('ENOENT');

    const living = `${mark} ${process.pid}; removed at its end\nexit 101\n`;
    await writeFile(policyFile, living);
    await install(policyFile);
    expect(await read('policy-rc.d')).toBe(living);
  });

  test('are told in one line to whom may not install them', () => {
    expect(installLine(DEBIAN_PACKAGES.filter(({ name }) => /^nbdkit|mtools$/.test(name)))).toBe(
      'sudo apt-get update && sudo apt-get install --yes --no-install-recommends mtools nbdkit',
    );
  });
});

test('an unknown purpose is refused', async () => {
  const { exitCode, stderr } = await setUp(root, 'tests', process.env.PATH ?? '');
  expect(exitCode).toBe(1);
  expect(stderr).toBe('There is no set-up for "tests": say one of run, demo, weekend, test, bench, peers.');
});

function setUp(folder: string, purpose: string, PATH: string): Promise<ToolResult> {
  const args = [join(folder, 'tools/setup.mjs'), purpose];
  return tryTool({ command: process.execPath, args, environment: { PATH }, cwd: folder });
}

function install(policyFile: string): Promise<boolean> {
  const nbdkit = DEBIAN_PACKAGES.filter(({ name }) => name === 'nbdkit');
  return installPackages(nbdkit, { environment: { PATH: path() }, policyFile });
}

/** The stand-ins first, then the machine's own tools. */
function path(): string {
  return `${bin}:${process.env.PATH}`;
}

async function standIn(name: string, script: string): Promise<void> {
  const file = join(bin, name);
  await writeFile(file, `#!/bin/sh\nprintf '%s\\n' "$*" >>${machine}/${name}.calls\n${script}\n`);
  await chmod(file, 0o755);
}

async function calls(name: string): Promise<string[]> {
  return (await read(`${name}.calls`)).trim().split('\n');
}

function read(name: string): Promise<string> {
  return readFile(join(machine, name), 'utf8');
}
