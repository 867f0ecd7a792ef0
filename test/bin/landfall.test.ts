import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runTool, startTool, type ToolResult, tryTool } from '../../src/processes/child.ts';

const root = resolve(import.meta.dirname, '../..');

/** Says what it was given, then ends with 7, or waits for a signal and says which came: from its first word on. */
const MAIN = `
const words: string[] = process.argv.slice(2);
if (words[0] === 'wait') {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => console.log(signal));
  process.on('SIGTERM', () => process.exit(9));
  setInterval(() => {}, 1000);
}
console.log(JSON.stringify({ words, node: process.version, pid: process.pid, env: process.env.LANDFALL_STARTED_BY_OLDER_NODE ?? null }));
if (words[0] === 'wait') {
  // Lives until a signal comes.
} else if (words[0] === 'abort') process.kill(process.pid, 'SIGKILL');
else process.exitCode = 7;
`;

/** Two starts of Node on a machine that is busy with other tests. */
const UNTIL_MS = 20_000;

let clone: string;
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'landfall-bin-'));
  await mkdir(join(clone, 'src/cli'), { recursive: true });
  await writeFile(join(clone, 'src/cli/main.ts'), MAIN);
  await cp(join(root, 'bin'), join(clone, 'bin'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
});
afterEach(() => rm(clone, { recursive: true }));

test('the TypeScript of a clone runs as it is, without a word of its own', async () => {
  const result = await landfall(process.execPath, ['plan', 'a b']);
  expect(result).toMatchObject({ exitCode: 7, stderr: '' });
  expect(JSON.parse(result.stdout)).toMatchObject({
    words: ['plan', 'a b'],
    node: process.version,
    env: null,
  });
});

test('what was built runs where there are no sources', async () => {
  const built = join(clone, 'dist/src/cli');
  await mkdir(built, { recursive: true });
  await writeFile(join(built, 'main.js'), 'console.log("built")');
  await rm(join(clone, 'src'), { recursive: true });
  expect(await landfall(process.execPath, [])).toMatchObject({ exitCode: 0, stdout: 'built' });
});

const oldNode = findOldNode();

describe('under an older Node', () => {
  const old = oldNode ?? '';
  beforeEach(({ skip }) => skip(oldNode === null, 'this machine has no Node that is too old'));

  test('it runs again with the Node that npm installed, and ends as that ended', async () => {
    const result = await landfall(old, ['plan', 'a b']);
    expect(result).toMatchObject({ exitCode: 7, stderr: '' });
    const { words, node, env } = JSON.parse(result.stdout);
    expect(words).toEqual(['plan', 'a b']);
    expect(Number.parseInt(node.slice(1), 10)).toBeGreaterThanOrEqual(24);
    expect(env).toBeNull();
  });

  test('it dies by the signal by which the newer one died', async () => {
    expect((await landfall(old, ['abort'])).exitCode).toBe(-1);
  });

  test('it hands on a signal once, and waits for the end', async () => {
    const { tool, lines } = await startWaiting(old);
    await using running = tool;
    process.kill(running.pid, 'SIGINT');
    await until(() => lines.includes('SIGINT'));
    process.kill(running.pid, 'SIGTERM');
    expect(await running.exited).toMatchObject({ exitCode: 9 });
    expect(lines.slice(1)).toEqual(['SIGINT', 'SIGTERM']);
  });

  test('nothing is left when it is killed', async () => {
    const { tool, pid } = await startWaiting(old);
    await using running = tool;
    process.kill(running.pid, 'SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`));
  });

  test('it says what to install where npm installed no newer one', async () => {
    await rm(join(clone, 'node_modules'));
    const { exitCode, stderr } = await landfall(old, []);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^Landfall needs Node 22\.18 or later, this is Node .*Install Node 24/);
  });
});

describe('the package', () => {
  test('holds what it needs and nothing of the tests, and runs once it is installed', {
    timeout: 120_000,
  }, async () => {
    const npm = { cwd: root, environment: { npm_config_loglevel: 'error' } };
    await runTool({ command: 'npm', args: ['pack', '--pack-destination', clone], ...npm });
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const archive = join(clone, `landfall-${version}.tgz`);
    const { stdout } = await runTool({ command: 'tar', args: ['-tzf', archive] });
    const files = stdout.split('\n').map((line) => line.replace(/^package\//, ''));
    expect(files).toEqual(
      expect.arrayContaining([
        'bin/landfall.mjs',
        'dist/src/cli/main.js',
        'dist/adapters/registry.js',
        'workflows/wave.schema.json',
        'tools/setup.mjs',
        'tools/debian-packages.mjs',
        'CHANGELOG.md',
        'package.json',
      ]),
    );
    expect(files.filter((file) => /^(test|src|adapters|node_modules|\.)/.test(file))).toEqual([]);

    const installed = join(clone, 'app/node_modules/landfall');
    await mkdir(installed, { recursive: true });
    await runTool({ command: 'tar', args: ['-xzf', archive, '--strip-components=1', '-C', installed] });
    await symlink(join(root, 'node_modules'), join(installed, 'node_modules'));
    const command = { command: process.execPath, args: [join(installed, 'bin/landfall.mjs'), '--version'] };
    expect(await tryTool(command)).toMatchObject({ exitCode: 0, stdout: version, stderr: '' });
  });
});

function landfall(node: string, words: string[]): Promise<ToolResult> {
  return tryTool({ command: node, args: [join(clone, 'bin/landfall.mjs'), ...words] });
}

async function startWaiting(node: string) {
  const lines: string[] = [];
  const args = [join(clone, 'bin/landfall.mjs'), 'wait'];
  const tool = await startTool({ command: node, args, onLine: (line) => lines.push(line) });
  await until(() => lines.length > 0);
  return { tool, lines, pid: Number(JSON.parse(lines[0] ?? '{}').pid) };
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + UNTIL_MS;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${UNTIL_MS} ms`);
    await sleep(20);
  }
}

/** The machine's own Node, where it is one that Landfall cannot use; npm puts the newer one before it. */
function findOldNode(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(folder, 'node');
    if (!existsSync(node)) continue;
    const [major = 0, minor = 0] = execFileSync(node, ['-p', 'process.versions.node'], { encoding: 'utf8' })
      .split('.')
      .map(Number);
    if (major < 22 || (major === 22 && minor < 18)) return node;
  }
  return null;
}
