/** `run` needs workers. Without a live `up` it starts one detached, in a session of its own, and says so. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { LandfallError } from '../domain/errors.ts';
import { homeFiles, readUpNote } from '../home.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import { closeRedis, openRedis, pingRedis } from '../state/redis.ts';

const START_TIMEOUT_MS = 30_000;

export async function ensureUp(
  config: Config,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (await isServed(config)) return;
  const { log } = homeFiles(config.home);
  await startDetached(config, log);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while ((await readUpNote(config.home)) === null) {
    signal.throwIfAborted();
    if (performance.now() > deadline) throw await notStarted(log);
    await sleep(100, undefined, { signal });
  }
  say(
    `No \`landfall up\` was running: started one in the background (log: ${log}; end it with \`landfall down\`).`,
  );
}

/** By a live `up` of this home, or, with REDIS_URL, by any process that schedules there. */
async function isServed({ home, redisUrl }: Config): Promise<boolean> {
  if ((await readUpNote(home)) !== null) return true;
  if (redisUrl === null) return false;
  await pingRedis(redisUrl);
  const redis = openRedis(redisUrl);
  try {
    return (await liveWorkers(redis)).some((worker) => worker.schedules);
  } finally {
    closeRedis(redis);
  }
}

async function startDetached({ home }: Config, logFile: string): Promise<void> {
  await mkdir(home, { recursive: true });
  await using log = await open(logFile, 'a');
  const [entry] = process.argv.slice(1);
  if (entry === undefined) throw new TypeError('landfall was not started from a file');
  const child = spawn(process.execPath, [entry, 'up'], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, LANDFALL_HOME: home },
  });
  child.unref();
}

async function notStarted(logFile: string): Promise<LandfallError> {
  const tail = (await readFile(logFile, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-3).join('\n');
  return new LandfallError({
    code: 'redis-away',
    message: `\`landfall up\` did not start within ${START_TIMEOUT_MS / 1000} s. Its log ${logFile} ends with:\n${tail}`,
  });
}
