import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ToolResult, tryTool } from '../src/processes/child.ts';

const root = resolve(import.meta.dirname, '..');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-reporter-'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(
    join(folder, 'vitest.config.mjs'),
    `import createCountReporter from ${JSON.stringify(join(root, 'test/reporter.ts'))};
     export default { test: { reporters: [createCountReporter(), 'default'], maxWorkers: 1 } };`,
  );
});
afterEach(() => rm(folder, { recursive: true }));

test.each<[string, string, string]>([
  [
    'a run that is good',
    'test("a", () => {}); test("b", () => {}); test.skip("c", () => {});',
    '2 passed, 0 failed',
  ],
  ['a failed test', 'test("a", () => {}); test("b", () => { throw new Error("no") });', '1 passed, 1 failed'],
  ['a file that cannot be read', 'test("a", () => {}); throw new Error("no");', '0 passed, 1 failed'],
  [
    'a hook that fails',
    'import { afterAll } from "vitest"; test("a", () => {}); afterAll(() => { throw new Error("no") });',
    '1 passed, 1 failed',
  ],
  [
    'an error that no test caught',
    'test("a", () => { Promise.reject(new Error("no")); });',
    '1 passed, 1 failed',
  ],
  ['only skipped tests', 'test.skip("a", () => {});', '0 passed, 0 failed'],
])('the last line counts %s', async (_, body, line) => {
  await writeFile(join(folder, 'a.test.mjs'), `import { test } from 'vitest';\n${body}`);
  const { exitCode, stdout } = await runVitest();
  expect(stdout.trimEnd().split('\n').at(-1)).toBe(line);
  expect(exitCode === 0).toBe(line.endsWith('0 failed') && !line.startsWith('0'));
});

test('what was skipped is named, with the reason', async () => {
  const body = 'test("a", () => {}); test("b", ({ skip }) => skip("no KVM here"));';
  await writeFile(join(folder, 'a.test.mjs'), `import { test } from 'vitest';\n${body}`);
  const { stdout } = await runVitest();
  expect(stdout.split('\n')).toContain('skipped: a.test.mjs > b: no KVM here');
  expect(stdout.indexOf('skipped:')).toBeLessThan(stdout.indexOf('Test Files'));
});

test('a run without tests fails, and counts none', async () => {
  const { exitCode, stdout } = await runVitest();
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('0 passed, 0 failed');
  expect(exitCode).not.toBe(0);
});

function runVitest(): Promise<ToolResult> {
  const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder];
  return tryTool({ command: process.execPath, args, cwd: folder, environment: { CI: 'true', VITEST: '' } });
}
