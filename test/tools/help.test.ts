import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ToolResult, tryTool } from '../../src/processes/child.ts';
import { BENCHES } from '../../tools/bench/benches.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A clone of which only package.json and tools/ are there: no npm package, and no Node but npm's. */
let clone: string;
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'landfall-help-'));
  for (const name of ['package.json', 'tools']) await symlink(join(ROOT, name), join(clone, name));
});
afterEach(() => rm(clone, { recursive: true }));

function npmRun(script: string, ...args: string[]): Promise<ToolResult> {
  return tryTool({ command: 'npm', args: ['run', '--silent', script, '--', ...args], cwd: clone });
}

describe('--help, before anything is installed,', () => {
  test.each(['--help', '-h'])('of npm run bench names benches, options, time and room (%s)', async (flag) => {
    const { exitCode, stdout, stderr } = await npmRun('bench', flag);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const { name } of BENCHES) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const option of await optionsOfBench()) expect(stdout).toMatch(new RegExp(`^  --${option} `, 'm'));
    expect(stdout).toMatch(/\d+ min .* GiB/);
    expect(stdout).not.toContain('Set-up for');
  });

  test('of npm run test:peers names the peers, what they need and how long they take', async () => {
    const { exitCode, stdout, stderr } = await npmRun('test:peers', '--help');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const word of ['versitygw', 'moto', 'golang-go', 'python3-venv', '3 min'])
      expect(stdout).toContain(word);
  });
});

test('a set-up that fails ends the command before it begins', async () => {
  // A stand-in for a purpose that there is not.
  const args = ['tools/with-set-up.sh', 'nothing', 'echo', 'begun'];
  const { exitCode, stdout, stderr } = await tryTool({ command: 'sh', args, cwd: ROOT });
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toContain('There is no set-up for "nothing"');
});

test('what follows a set-up is run with its arguments and gives its status', async () => {
  const args = ['tools/with-set-up.sh', 'run', 'sh', '-c', 'printf "%s|" "$@"; exit 7', 'sh', 'a b', '--x'];
  const { exitCode, stdout } = await tryTool({ command: 'sh', args, cwd: ROOT });
  expect(exitCode).toBe(7);
  expect(stdout).toContain('a b|--x|');
});

/** As its command line is read. */
async function optionsOfBench(): Promise<string[]> {
  const source = await readFile(join(ROOT, 'tools/bench/bench-options.ts'), 'utf8');
  const names = [...source.matchAll(/^ {8}(\w+): \{ type: 'string'/gm)].map(([, name]) => String(name));
  expect(names.length).toBeGreaterThan(3);
  return names;
}
