/** Connections to Redis. They wait for a Redis that is away, say so once, and go on by themselves. */
import { Redis, type RedisOptions } from 'ioredis';
import { LandfallError } from '../domain/errors.ts';

/** `redis://…`, `rediss://…`, or `unix:/path/of/socket`. */
export type RedisUrl = string;

/** ioredis' own reply mapping stays at its default. */
export type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;

export type ConnectionNotice = (state: 'away' | 'back', detail: string) => void;

const MAX_RECONNECT_DELAY_MS = 2_000;
const PING_TIMEOUT_MS = 5_000;
/** ioredis waits for the close of a connection that was refused, which never comes: by default it holds the process for 2 s. */
const DISCONNECT_MS = 50;

export function redisOptions(url: RedisUrl): ConnectionOptions {
  const common: ConnectionOptions = {
    // A worker must wait for Redis for as long as it takes (BullMQ demands null).
    maxRetriesPerRequest: null,
    retryStrategy: (attempt) => Math.min(attempt * 100, MAX_RECONNECT_DELAY_MS),
    connectTimeout: 5_000,
    lazyConnect: true,
  };
  if (url.startsWith('unix:')) return { ...common, path: url.slice('unix:'.length) };
  const parsed = parseUrl(url);
  return {
    ...common,
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: parsed.port === '' ? 6379 : Number(parsed.port),
    db: parsed.pathname.length > 1 ? Number(parsed.pathname.slice(1)) : 0,
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

/** Opens a connection; the first command connects it. Close it with `closeRedis`. */
export function openRedis(url: RedisUrl, notice: ConnectionNotice = () => {}): Redis {
  const redis = new Redis(redisOptions(url));
  let isAway = false;
  redis.on('error', (error: Error) => {
    if (!isAway) notice('away', error.message);
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) notice('back', '');
    isAway = false;
  });
  return redis;
}

export function closeRedis(redis: Redis): void {
  redis.disconnect();
}

/** Asks once whether Redis answers, without waiting for it to come back. Throws `redis-away`. */
export async function pingRedis(
  url: RedisUrl,
): Promise<{ version: string; policy: string; appendOnly: boolean }> {
  const redis = new Redis({
    ...redisOptions(url),
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    disconnectTimeout: DISCONNECT_MS,
  });
  redis.on('error', () => {});
  try {
    const info = await withTimeout(redis.info(), PING_TIMEOUT_MS);
    return {
      version: field(info, 'redis_version'),
      policy: field(info, 'maxmemory_policy'),
      appendOnly: field(info, 'aof_enabled') === '1',
    };
  } catch (error) {
    throw new LandfallError({
      code: 'redis-away',
      message: `Redis at ${hidePassword(url)} does not answer (${(error as Error).message}). Start it, or correct REDIS_URL.`,
      retryable: true,
      cause: error,
    });
  } finally {
    redis.disconnect();
  }
}

export function hidePassword(url: RedisUrl): string {
  return url.replace(/\/\/([^@/]*)@/, '//…@');
}

function parseUrl(url: RedisUrl): URL {
  const parsed = URL.parse(url);
  if (parsed === null || !['redis:', 'rediss:'].includes(parsed.protocol)) {
    throw new LandfallError({
      code: 'usage',
      message: `REDIS_URL is ${JSON.stringify(hidePassword(url))}: expected redis://HOST:PORT, rediss://HOST:PORT or unix:/PATH.`,
    });
  }
  return parsed;
}

function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}

async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
