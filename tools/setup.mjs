/**
 * Brings a clone to where its npm scripts work: npm packages, Node 24 among them, the dashboard's page where it
 * is served, then Debian packages.
 * `node tools/setup.mjs [run|demo|weekend|test|bench|peers]`. Plain JavaScript: it runs on Node 20 before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  findMissing,
  installLine,
  installPackages,
  isDebian,
  PURPOSES,
  packagesFor,
} from './debian-packages.mjs';

const OLDEST_FOR_SETUP = 20;
const OLDEST_FOR_LANDFALL = [22, 18];

/** What the dashboard's page is built from, and the file that its build writes. */
const PAGE_SOURCES = ['src/dashboard/page', 'vite.config.ts', 'package-lock.json'];
const BUILT_PAGE = 'dist/page/index.html';
const PURPOSES_WITH_PAGE = ['demo', 'test'];

const rootFolder = fileURLToPath(new URL('..', import.meta.url));

process.exitCode = await setUp(process.argv[2] ?? 'run');

/** @returns {Promise<number>} the exit status */
async function setUp(purpose) {
  const [major] = versionOf(process.versions.node);
  if (major < OLDEST_FOR_SETUP) {
    return fail(
      `Node ${process.versions.node} is too old for the set-up: install Node ${OLDEST_FOR_SETUP} or later.`,
    );
  }
  if (!PURPOSES.includes(purpose)) {
    return fail(`There is no set-up for "${purpose}": say one of ${PURPOSES.join(', ')}.`);
  }
  return installNpmPackages() || checkNode() || buildPage(purpose) || (await installDebianPackages(purpose));
}

function installNpmPackages() {
  const outdated = whyNpmPackagesAreOutdated();
  if (outdated === null) return 0;
  say(`${outdated}: running npm ci.`);
  // Its warnings are about the Node that runs npm here, not about the one that will run Landfall.
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: rootFolder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0 ? 0 : fail('npm ci failed (see above), so nothing can be run.');
}

/**
 * Compares the lock file with npm's own account of what it put into node_modules, which it writes last: an installation
 * that was killed has none. So no stamp of ours can disagree with what is there.
 */
function whyNpmPackagesAreOutdated() {
  const lockFile = join(rootFolder, 'package-lock.json');
  // The published package has no lock file: whoever installed it installed its dependencies.
  if (!existsSync(lockFile)) return null;
  const installedFile = join(rootFolder, 'node_modules/.package-lock.json');
  if (!existsSync(installedFile)) return 'The npm packages are not installed';
  const wanted = readPackages(lockFile);
  const installed = readPackages(installedFile);
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const there = installed[path];
    // Packages for other platforms are optional and left out.
    if (there === undefined && entry.optional) continue;
    if (there?.version !== entry.version || there.integrity !== entry.integrity) {
      return `package-lock.json changed (${path.replace(/^node_modules\//, '')})`;
    }
  }
  return null;
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** npm scripts find node_modules/.bin/node first; without it the machine's own Node must do. */
function checkNode() {
  if (existsSync(join(rootFolder, 'node_modules/.bin/node'))) return 0;
  const [major, minor] = versionOf(process.versions.node);
  const [oldestMajor, oldestMinor] = OLDEST_FOR_LANDFALL;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return 0;
  return fail(
    `Landfall needs Node ${OLDEST_FOR_LANDFALL.join('.')} or later, this is ${process.versions.node}, and npm has no ` +
      `Node 24 for ${process.platform}-${process.arch}: install Node 24.`,
  );
}

/** The dashboard serves a built page. Whoever installed the published package has one, and none of its sources. */
function buildPage(purpose) {
  if (!PURPOSES_WITH_PAGE.includes(purpose) || !isPageOutdated()) return 0;
  say("The dashboard's page is not built, or is older than its sources: building it.");
  const { status } = spawnSync('npm', ['run', '--silent', 'build:page'], {
    cwd: rootFolder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0 ? 0 : fail("The dashboard's page could not be built (see above).");
}

function isPageOutdated() {
  const sources = PAGE_SOURCES.map((path) => join(rootFolder, path)).filter((path) => existsSync(path));
  if (!sources.includes(join(rootFolder, PAGE_SOURCES[0]))) return false;
  const builtFile = join(rootFolder, BUILT_PAGE);
  if (!existsSync(builtFile)) return true;
  const builtAt = statSync(builtFile).mtimeMs;
  return sources.flatMap(listFiles).some((file) => statSync(file).mtimeMs > builtAt);
}

/** Folders too: a file that was removed changes only its folder. */
function listFiles(path) {
  if (!statSync(path).isDirectory()) return [path];
  const inside = readdirSync(path, { recursive: true }).map((name) => join(path, name));
  return [path, ...inside];
}

async function installDebianPackages(purpose) {
  const packages = packagesFor(purpose);
  const missing = findMissing(packages);
  if (missing.length === 0) {
    say(`Set-up for ${purpose}: nothing is missing.`);
    return 0;
  }
  const reasons = missing.map(({ name, why }) => `  ${name.padEnd(20)} ${why}`).join('\n');
  if (!isDebian()) {
    return fail(`This is no Debian. Please install what these Debian packages give:\n${reasons}`);
  }
  if (process.getuid?.() !== 0) {
    return fail(
      `These Debian packages are missing:\n${reasons}\nRun, then try again:\n${installLine(missing)}`,
    );
  }
  say(`Installing Debian packages:\n${reasons}`);
  await installPackages(missing);
  const left = findMissing(missing);
  if (left.length === 0) return 0;
  const names = left.map(({ name }) => name).join(' ');
  return fail(`apt-get did not install ${names} (see above). Run, then try again:\n${installLine(left)}`);
}

function versionOf(text) {
  return text.split('.').map(Number);
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

function fail(text) {
  process.stderr.write(`${text}\n`);
  return 1;
}
