import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';

const BIN = new URL('../../../bin/landfall.mjs', import.meta.url).pathname;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-azure-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('`landfall sandbox --azure` ends, and says why, when Azurite ends by itself', async () => {
  const azure = join(folder, 'azure');
  const args = [BIN, 'sandbox', '--azure', '--port', '0', '--folder', azure, '--json'];
  const env = { ...process.env, LANDFALL_HOME: folder, LANDFALL_LOG: 'error' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  try {
    const lines = createInterface({ input: child.stdout });
    const told: string[] = [];
    lines.on('line', (line) => told.push(line));
    await once(lines, 'line');
    process.kill(Number(await readFile(join(azure, 'azurite', 'azurite.pid'), 'utf8')), 'SIGKILL');
    const [exitCode] = (await exited) as [number | null];
    expect(exitCode).toBe(1);
    expect(JSON.parse(told.at(-1) ?? '')).toMatchObject({
      error: { code: 'tool-failed', message: expect.stringContaining('ended by itself') },
    });
  } finally {
    child.kill('SIGKILL');
  }
});

test('`landfall sandbox --azure` says what to export, and ends on Ctrl-C', async () => {
  const args = [BIN, 'sandbox', '--azure', '--port', '0', '--folder', join(folder, 'azure'), '--json'];
  const env = { ...process.env, LANDFALL_HOME: folder, LANDFALL_LOG: 'error' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { url, environment } = JSON.parse(line) as { url: string; environment: Record<string, string> };
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(Object.keys(environment).sort()).toEqual([
      'AZURE_RESOURCE_MANAGER_ENDPOINT',
      'AZURE_SUBSCRIPTION_ID',
      'IDENTITY_ENDPOINT',
      'IDENTITY_HEADER',
      'NODE_EXTRA_CA_CERTS',
    ]);
    await access(environment.NODE_EXTRA_CA_CERTS ?? '');
  } finally {
    child.kill('SIGINT');
  }
  const [exitCode] = (await exited) as [number | null];
  expect(exitCode).toBe(0);
});
