import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tryTool } from '../../src/processes/child.ts';

const landfall = join(import.meta.dirname, '..', '..', 'bin', 'landfall.mjs');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-cli-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const environment = { LANDFALL_HOME: join(folder, 'home'), REDIS_URL: '' };
  return tryTool({ command: process.execPath, args: [landfall, ...args], environment, cwd: folder });
}

describe('the command line', () => {
  test('explains itself: commands, exit statuses, environment', async () => {
    const { exitCode, stdout } = await run('--help');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/run .*<wave>/);
    expect(stdout).toMatch(/3 {4}some machines landed and some did not/);
    expect(stdout).toContain('LANDFALL_HOME');
  });

  test('answers an unknown command with status 2 and the one that was meant', async () => {
    const { exitCode, stderr } = await run('stauts');
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/unknown command 'stauts'[\s\S]*status/);
  });

  test('refuses a stage that does not exist, naming the stages', async () => {
    const { exitCode, stderr } = await run('worker', '--stage', 'uplaod');
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/uplaod is not a stage; the stages are export, convert, upload, import, validate/);
  });

  test('says what to do when nobody owns the home', async () => {
    const { exitCode, stderr } = await run('status');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/landfall up/);
  });

  test('gives errors as JSON with --json', async () => {
    const { exitCode, stdout } = await run('plan', 'none.yaml', '--json');
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'not-found', message: expect.stringContaining('none.yaml') },
    });
    const usage = await run('status', '--json', '--nonsense');
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: 'usage' } });
  });

  test('tells a mistake in a wave file with its line and column before anything is started', async () => {
    const file = join(folder, 'wave.yaml');
    await writeFile(
      file,
      'name: w\nsource: { files: {} }\ntarget:\n  aws:\n    region: eu-central-1\n    bukket: b\nmachines: []\n',
    );
    const { exitCode, stderr } = await run('run', file);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/wave\.yaml:6:5/);
    expect(stderr).toMatch(/did you mean .?bucket/i);
    const status = await run('status');
    expect(status.stderr).toMatch(/No `landfall up` owns/);
  });

  test('refuses an environment that makes no sense', async () => {
    const environment = { LANDFALL_HOME: join(folder, 'home'), REDIS_URL: 'http://example.test' };
    const { exitCode, stderr } = await tryTool({
      command: process.execPath,
      args: [landfall, 'status'],
      environment,
      cwd: folder,
    });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/REDIS_URL/);
  });

  test('ends `down` quietly where nothing is up', async () => {
    const { exitCode, stdout } = await run('down');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/No `landfall up` owns/);
  });
});
