import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { CommandContext } from '../src/cli/command-context.ts';
import { createProgram } from '../src/cli/program.ts';
import { STAGES } from '../src/domain/job.ts';
import { runTool, startTool, type ToolResult, tryTool } from '../src/processes/child.ts';

type Service = {
  command: string[];
  build?: string;
  user?: string;
  environment?: Record<string, string | null>;
  volumes: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[] };
};

const root = resolve(import.meta.dirname, '..');
const { services } = parse(await readFile(join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
};
const ours = Object.entries(services).filter(([, { build }]) => build !== undefined);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-compose-'));
  await cp(join(root, 'docker-compose.yml'), join(folder, 'docker-compose.yml'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('docker-compose.yml', () => {
  // Debian's docker-compose checks against the Compose Specification's schema, and needs no engine for it.
  test('is good by the Compose Specification', async () => {
    expect(await checkCompose()).toMatchObject({ exitCode: 0 });
  });

  test('would be refused with a key that the specification does not know', async () => {
    const text = await readFile(join(folder, 'docker-compose.yml'), 'utf8');
    await writeFile(join(folder, 'docker-compose.yml'), text.replace('healthcheck:', 'healthchek:'));
    const { exitCode, stderr } = await checkCompose();
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('healthchek');
  });

  test('has a pool for every stage, and timers in one place', () => {
    const stages = ours.map(([, { command }]) => command[command.indexOf('--stage') + 1]);
    expect(stages).toEqual(expect.arrayContaining([...STAGES]));
    expect(services.up?.command).toEqual(['up', '--no-pools', '--no-dashboard']);
  });

  test.each(ours)('%s runs a command that the command line knows', async (_, { command }) => {
    const taken = await parseCommand(command);
    expect(taken).toBe(command[0]);
  });

  test('a command that the command line does not know is found', async () => {
    await expect(parseCommand(['worker', '--stage', 'export', '--concurency', '4'])).rejects.toThrow();
    await expect(parseCommand(['worker', '--stage', 'exports'])).rejects.toThrow();
    await expect(parseCommand(['work'])).rejects.toThrow();
  });

  test.each(ours)(
    '%s waits for a healthy Redis, is not root and shares staging and evidence',
    (_, service) => {
      expect(service.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
      expect(service.user).toMatch(/:-[1-9]\d*:[1-9]\d*\}$/);
      expect(service.environment).toMatchObject({ REDIS_URL: 'redis://redis:6379' });
      expect(service.volumes).toEqual(expect.arrayContaining(['staging:/staging', 'evidence:/evidence']));
    },
  );

  test('Redis takes its settings, keeps every key, and is healthy only once it answers', async () => {
    const { redis } = services;
    const words = redis?.command.slice(1) ?? [];
    // Redis itself reads the settings: it ends at once on one that it does not know.
    const ready = Promise.withResolvers<void>();
    const sockets = ['--port', '0', '--unixsocket', join(folder, 'redis.sock')];
    await using server = await startTool({
      command: 'redis-server',
      args: [...words, ...sockets, '--dir', folder],
      onLine: (line) => /ready to accept connections/i.test(line) && ready.resolve(),
    });
    const ended = server.exited.then(({ stdout }) => Promise.reject(new Error(stdout)));
    ended.catch(() => {});
    await Promise.race([ready.promise, ended]);
    expect(words.join(' ')).toContain('--appendonly yes');
    expect(words.join(' ')).toContain('--maxmemory-policy noeviction');
    expect(redis?.healthcheck?.test.join(' ')).toContain('redis-cli ping | grep -q PONG');
    expect(redis?.volumes).toEqual(['redis:/data']);
  });
});

describe('the Dockerfile', async () => {
  const text = await readFile(join(root, 'Dockerfile'), 'utf8');

  test('copies only what is there and what the build context holds', async () => {
    const ignored = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n');
    const copied = [...text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) =>
      names.split(' '),
    );
    expect(copied.length).toBeGreaterThan(5);
    expect(copied.filter((name) => !ignored.includes(`!${name}`))).toEqual([]);
    const { stdout } = await runTool({ command: 'git', args: ['ls-files', ...copied], cwd: root });
    const tracked = stdout.split('\n');
    expect(copied.filter((name) => !tracked.some((file) => `${file}/`.startsWith(`${name}/`)))).toEqual([]);
  });

  test('runs as somebody who is not root, on the Node that is developed with', () => {
    expect(text).toMatch(/^USER landfall$/m);
    const majors = [...text.matchAll(/^FROM node:(\d+)-/gm)].map(([, major]) => major);
    expect(new Set(majors)).toEqual(new Set([process.versions.node.split('.')[0]]));
  });
});

/** The name of the command whose action would run. */
async function parseCommand(words: readonly string[]): Promise<string> {
  const context = { terminal: { remark: () => {} } } as unknown as CommandContext;
  const program = createProgram(context);
  let taken = '';
  for (const command of program.commands) {
    command.action(() => {
      taken = command.name();
    });
  }
  await program.parseAsync(words, { from: 'user' });
  return taken;
}

function checkCompose(): Promise<ToolResult> {
  return tryTool({ command: 'docker-compose', args: ['config', '--quiet'], cwd: folder });
}
