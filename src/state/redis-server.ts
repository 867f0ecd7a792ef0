/** The embedded Redis: Debian's redis-server on a unix socket of its own, durable by append-only file, ended with its owner. */
import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LandfallError } from '../domain/errors.ts';
import { type RunningTool, startTool, type ToolResult } from '../processes/child.ts';
import { pingRedis, type RedisUrl } from './redis.ts';

export type RedisServer = AsyncDisposable & { url: RedisUrl; pid: () => number };

const START_TIMEOUT_MS = 15_000;
const RESTART_DELAY_MS = 500;
const SOCKET = 'redis.sock';

/** Where the Redis with its data in `folder` answers, whenever one runs. */
export function embeddedRedisUrl(folder: string): RedisUrl {
  return `unix:${join(socketFolderOf(folder), SOCKET)}`;
}

/** Starts Redis with its data in `folder` and starts it again whenever it dies, until disposed. */
export async function startRedisServer(options: {
  folder: string;
  log: (message: string) => void;
}): Promise<RedisServer> {
  await mkdir(options.folder, { recursive: true });
  const socketFolder = await makeSocketFolder(options.folder);
  const socket = join(socketFolder, SOCKET);
  const url = `unix:${socket}`;
  let isEnding = false;
  let server = await spawnServer({ folder: options.folder, socket });

  const supervise = async (): Promise<void> => {
    while (!isEnding) {
      const ended = await server.exited;
      if (isEnding) return;
      options.log(`${describeEnd(ended)}; starting it again`);
      await sleep(RESTART_DELAY_MS);
      if (!isEnding) server = await spawnServer({ folder: options.folder, socket });
    }
  };
  const supervision = supervise().catch((error: unknown) => options.log(`redis-server: ${String(error)}`));

  const stop = async (): Promise<void> => {
    isEnding = true;
    await server.stop();
    await supervision;
    await rm(socketFolder, { recursive: true, force: true });
  };
  try {
    await waitUntilReady(url, server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, pid: () => server.pid, [Symbol.asyncDispose]: stop };
}

/**
 * Socket paths end at 108 bytes, so it cannot live beside the data. The same data has the same socket every time: who
 * was connected when its owner was killed is connected again when the next one starts. Other users are kept out.
 */
async function makeSocketFolder(dataFolder: string): Promise<string> {
  const folder = socketFolderOf(dataFolder);
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const found = await lstat(folder);
  if (found.isDirectory() && found.uid === userId() && (found.mode & 0o077) === 0) return folder;
  throw new LandfallError({
    code: 'conflict',
    message: `Redis cannot have its socket in ${folder}: it is not a folder that only this user can enter. Remove it, or set TMPDIR to another folder.`,
  });
}

function socketFolderOf(dataFolder: string): string {
  const name = createHash('sha256').update(resolve(dataFolder)).digest('hex').slice(0, 16);
  return join(tmpdir(), `landfall-redis-${userId()}-${name}`);
}

function userId(): number {
  return process.getuid?.() ?? 0;
}

/** A killed one has no last words; what its log ends with then is about something else. */
function describeEnd({ exitCode, endedBy, stdout }: ToolResult): string {
  if (endedBy !== null)
    return `The embedded Redis was killed by ${endedBy} (by somebody, or by the kernel out of memory). What it held is on disk, but for the last second`;
  const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
  return `The embedded Redis ended with status ${exitCode}: ${lastLine === '' ? 'it said nothing' : lastLine}`;
}

function spawnServer({ folder, socket }: { folder: string; socket: string }): Promise<RunningTool> {
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir: folder,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  return startTool({ command: 'redis-server', args });
}

async function waitUntilReady(url: RedisUrl, server: RunningTool): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  let ended: string | null = null;
  void server.exited.then((result) => {
    ended = result.stdout.split('\n').slice(-3).join(' | ');
  });
  for (;;) {
    try {
      await pingRedis(url);
      return;
    } catch (error) {
      if (ended !== null || performance.now() > deadline) {
        throw new LandfallError({
          code: 'redis-away',
          message: `The embedded Redis did not start: ${ended ?? (error as Error).message}`,
          cause: error,
        });
      }
    }
    await sleep(50);
  }
}
