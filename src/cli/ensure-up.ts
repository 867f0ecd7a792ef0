/** `run` and `retry` need workers. Without a live `up` they start one detached, in a session of its own, and say so. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Wave } from '../domain/wave.ts';
import { homeFiles, isHomeLocked, readUpNote } from '../home.ts';
import { SMALL_HEAP_FLAGS } from '../processes/small-heap.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import { closeRedis, openRedis, pingRedis } from '../state/redis.ts';
import type { CommandContext } from './command-context.ts';
import { findOtherEnvironment } from './other-environment.ts';

const START_TIMEOUT_MS = 30_000;

/** Says so when a live one has other credentials, or other variables that the wave names, than this command. */
export async function ensureUp(context: CommandContext, wave: Wave): Promise<void> {
  const { terminal, interrupted: signal } = context;
  const config = context.config();
  if (await isServed(config)) {
    const difference = await findOtherEnvironment(config, wave);
    if (difference !== null) terminal.remark(`${difference.message}. ${difference.remedy}`);
    return;
  }
  const { log } = homeFiles(config.home);
  const { site } = wave.source;
  const started = await startDetached(config, { logFile: log, site });
  const deadline = performance.now() + START_TIMEOUT_MS;
  let note = await readUpNote(config.home);
  for (; note === null; note = await readUpNote(config.home)) {
    signal.throwIfAborted();
    // Where ours found the home taken, the one that took it may still be starting.
    const isHopeless = started.hasEnded() && !(await isHomeLocked(config.home));
    if (isHopeless || performance.now() > deadline) throw await notStarted(log);
    await sleep(100, undefined, { signal });
  }
  if (note.pid !== started.pid) {
    // Another command started one at the same moment, and says so. Ours would take the home over when that one goes down.
    started.end();
    return;
  }
  terminal.remark(
    `No \`landfall up\` was running: started one in the background${site === null ? '' : ` for site ${site}`} (log: ${log}; end it with \`landfall down\`).${note.dashboard === null ? '' : ` Its dashboard: ${note.dashboard}`}`,
  );
}

/** By a live `up` of this home, or, with REDIS_URL, by any process that schedules there. */
async function isServed({ home, redisUrl }: Config): Promise<boolean> {
  const note = await readUpNote(home);
  if (redisUrl === null) return note !== null;
  if (note?.redisUrl === redisUrl) return true;
  await pingRedis(redisUrl);
  const redis = openRedis(redisUrl);
  try {
    return (await liveWorkers(redis)).some((worker) => worker.schedules);
  } finally {
    closeRedis(redis);
  }
}

async function startDetached(
  { home }: Config,
  { logFile, site }: { logFile: string; site: string | null },
): Promise<{ pid: number | undefined; hasEnded(): boolean; end(): void }> {
  await mkdir(home, { recursive: true });
  await using log = await open(logFile, 'a');
  const [entry] = process.argv.slice(1);
  if (entry === undefined) throw new TypeError('landfall was not started from a file');
  // The plan has read the images from here.
  const atSite = site === null ? [] : ['--site', site];
  const child = spawn(process.execPath, [...SMALL_HEAP_FLAGS, entry, 'up', ...atSite], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, LANDFALL_HOME: home },
  });
  let hasEnded = false;
  child.once('exit', () => {
    hasEnded = true;
  });
  child.unref();
  return { pid: child.pid, hasEnded: () => hasEnded, end: () => void child.kill('SIGTERM') };
}

async function notStarted(logFile: string): Promise<LandfallError> {
  const tail = (await readFile(logFile, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-3).join('\n');
  return new LandfallError({
    code: 'redis-away',
    message: `\`landfall up\` did not start. Its log ${logFile} ends with:\n${tail}`,
  });
}
