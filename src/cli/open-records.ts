/**
 * Opens the app where the records are, whether or not anybody serves them. Where no `up` owns the home, this command
 * runs the home's Redis itself, without workers, until it has looked: so what is refused leaves no process behind, and
 * no `up` starts with credentials that were refused.
 */
import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '../app.ts';
import type { Config } from '../config.ts';
import { asLandfallError } from '../domain/errors.ts';
import { homeFiles, lockHome, readUpNote } from '../home.ts';
import { pingRedis } from '../state/redis.ts';
import { startRedisServer } from '../state/redis-server.ts';
import type { CommandContext } from './command-context.ts';
import { openAppFor } from './open-app.ts';

const LOCK_RETRY_MS = 100;
const LOCK_TIMEOUT_MS = 20_000;

/** Hold it for a moment only: meanwhile nobody else can own the home. */
export async function openRecords(context: CommandContext): Promise<App> {
  const config = context.config();
  if ((await readUpNote(config.home)) === null && config.redisUrl !== null) await pingRedis(config.redisUrl);
  if (config.redisUrl !== null) return openAppFor(context);
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  for (;;) {
    if ((await readUpNote(config.home)) !== null) return openAppFor(context);
    try {
      return await openRestingHome(context, config);
    } catch (error) {
      // Somebody's `up` is starting, or another command looks.
      const { code } = asLandfallError(error);
      if (code !== 'conflict' || performance.now() > deadline) throw error;
    }
    await sleep(LOCK_RETRY_MS, undefined, { signal: context.interrupted });
  }
}

/** Can there be records at all? No: nothing was ever run here. */
export async function hasRecords({ home, redisUrl }: Config): Promise<boolean> {
  if (redisUrl !== null) return true;
  return access(homeFiles(home).redis).then(
    () => true,
    () => false,
  );
}

async function openRestingHome({ terminal }: CommandContext, config: Config): Promise<App> {
  const { openApp } = await import('../app.ts');
  await using stack = new AsyncDisposableStack();
  stack.use(await lockHome(config.home));
  const { redis } = homeFiles(config.home);
  const server = stack.use(
    await startRedisServer({ folder: redis, log: (message) => terminal.remark(message) }),
  );
  const app = stack.use(await openApp({ ...config, redisUrl: server.url }));
  const owned = stack.move();
  return { ...app, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
