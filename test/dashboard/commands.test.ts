/** The commands that serve the dashboard, as processes of their own. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningTool, startTool, tryTool } from '../../src/processes/child.ts';

const LANDFALL = join(import.meta.dirname, '../../bin/landfall.mjs');
const URL_SAID = /The dashboard is at (http:\/\/\S+?)"/;
const UNTIL = { timeout: 15_000, interval: 50 };

let home: string;
const running: RunningTool[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'landfall-commands-'));
});
afterAll(async () => {
  for (const tool of running.toReversed()) await tool.stop();
  await rm(home, { recursive: true, force: true });
});

/** Resolves with what `sign` found once the command has said it. */
async function start(args: readonly string[], sign: RegExp): Promise<{ tool: RunningTool; said: string }> {
  const found = Promise.withResolvers<string>();
  const tool = await startTool({
    command: process.execPath,
    args: [LANDFALL, ...args],
    cwd: home,
    environment: { LANDFALL_HOME: home, HOME: home },
    onLine(line) {
      const [whole, part] = sign.exec(line) ?? [];
      if (whole !== undefined) found.resolve(part ?? whole);
    },
  });
  running.push(tool);
  const ended = tool.exited.then(({ stdout, stderr }) => {
    throw new Error(`landfall ${args.join(' ')} ended: ${stderr}${stdout}`);
  });
  return { tool, said: await Promise.race([found.promise, ended]) };
}

async function statusOf(url: string, path: string): Promise<number> {
  return (await fetch(new URL(path, url))).status;
}

describe('landfall dashboard', () => {
  it('starts before there is a Redis, says so, and goes on by itself once `up` has brought one', async () => {
    const dashboard = await start(['dashboard', '--listen', '127.0.0.1:0'], URL_SAID);
    expect(await statusOf(dashboard.said, '/healthz')).toBe(200);
    expect(await statusOf(dashboard.said, '/readyz')).toBe(503);
    const up = await start(['up', '--no-pools', '--no-dashboard'], /Landfall is up/);
    await vi.waitFor(async () => expect(await statusOf(dashboard.said, '/readyz')).toBe(200), UNTIL);
    expect(await statusOf(dashboard.said, '/api/runs')).toBe(200);
    await up.tool.stop();
    await vi.waitFor(async () => expect(await statusOf(dashboard.said, '/readyz')).toBe(503), UNTIL);
    expect((await dashboard.tool.stop()).endedBy).toBeNull();
  }, 60_000);
});

describe('an address that is taken', () => {
  it('is said, with the way out', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const told = await tryTool({
      command: process.execPath,
      args: [LANDFALL, 'dashboard', '--listen', `127.0.0.1:${port}`],
      cwd: home,
      environment: { LANDFALL_HOME: home, HOME: home },
      timeoutMs: 20_000,
    });
    other.close();
    expect(told.exitCode).toBe(2);
    expect(told.stderr).toContain(`cannot listen on 127.0.0.1:${port}: something else does already`);
  }, 30_000);
});

describe('landfall up', () => {
  it('serves the dashboard, too', async () => {
    const { tool, said } = await start(['up', '--no-pools', '--listen', '127.0.0.1:0'], URL_SAID);
    expect(await statusOf(said, '/api/runs')).toBe(200);
    expect((await tool.stop()).endedBy).toBeNull();
  }, 60_000);
});
