/** Does anybody serve what this wave needs? Asked by `plan`, which needs no Redis and starts none. */
import { asLandfallError } from '../domain/errors.ts';
import { warned } from '../domain/finding.ts';
import type { Finding } from '../domain/ports.ts';
import { readUpNote } from '../home.ts';
import { describeUnserved, unservedBy } from '../operations/served-pools.ts';
import { liveWorkers } from '../state/heartbeats.ts';
import { closeRedis, openRedis, pingRedis } from '../state/redis.ts';
import type { CommandContext } from './command-context.ts';

/** Nothing to say where `run` would start an `up` with all pools by itself. */
export async function examinePools({ config }: CommandContext, site: string | null): Promise<Finding[]> {
  const { home, redisUrl } = config();
  const url = redisUrl ?? (await readUpNote(home))?.redisUrl ?? null;
  if (url === null) return [];
  try {
    await pingRedis(url);
  } catch (error) {
    return [warned('workers', asLandfallError(error).message, 'The wave cannot be run before it answers.')];
  }
  const redis = openRedis(url);
  try {
    const workers = await liveWorkers(redis);
    if (!workers.some(({ schedules }) => schedules)) return [];
    return unservedBy(workers, site).map((unserved) => {
      const { message, remedy } = describeUnserved(unserved);
      return warned('workers', message, remedy);
    });
  } finally {
    closeRedis(redis);
  }
}
