/** The environment, parsed once at entry. Inside, trust the type. */
import { isAbsolute, join, resolve } from 'node:path';
import { z } from 'zod';
import { ACCESS_ENVIRONMENT, type AccessSettings, readAccessSettings } from './dashboard/access/settings.ts';
import { LandfallError } from './domain/errors.ts';

export type Config = {
  /** Absolute. Holds the embedded Redis, staging, evidence and the lock of `up`. */
  home: string;
  /** null: the embedded Redis of this home. */
  redisUrl: string | null;
  /** Absolute folder for unpacked and spooled disks; shared by all workers of a site. */
  staging: string;
  /** Absolute folder, or s3://bucket/prefix. */
  evidence: string;
  /** Absolute folder for what was found out at some cost; losing it costs time only. */
  cache: string;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Of the dashboard. */
  access: AccessSettings;
};

/** What `landfall --help` and docs/operations.md say about the environment. */
export const ENVIRONMENT = {
  LANDFALL_HOME: 'folder for the embedded Redis, staging, evidence and logs (default .landfall)',
  REDIS_URL: 'redis://, rediss:// or unix:/path; default: an embedded Redis owned by `landfall up`',
  LANDFALL_STAGING: 'folder for unpacked and spooled disks (default LANDFALL_HOME/staging)',
  LANDFALL_EVIDENCE: 'folder or s3://bucket/prefix for proofs (default LANDFALL_HOME/evidence)',
  LANDFALL_LOG: 'debug, info, warn or error (default info)',
  ...ACCESS_ENVIRONMENT,
} as const;

const text = z.string().trim().min(1).optional();
const environmentSchema = z.object({
  LANDFALL_HOME: text,
  REDIS_URL: text,
  LANDFALL_STAGING: text,
  LANDFALL_EVIDENCE: text,
  LANDFALL_LOG: z.enum(['debug', 'info', 'warn', 'error']).optional(),
  XDG_CACHE_HOME: text,
  HOME: text,
});

export function readConfig(environment: NodeJS.ProcessEnv, folder: string): Config {
  const given = withoutEmpty(environment);
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new LandfallError({
      code: 'usage',
      message: `The environment variable ${issue?.path.join('.')} is wrong: ${issue?.message}.`,
    });
  }
  const { LANDFALL_HOME, REDIS_URL, LANDFALL_STAGING, LANDFALL_EVIDENCE, LANDFALL_LOG } = parsed.data;
  const home = resolve(folder, LANDFALL_HOME ?? '.landfall');
  return {
    home,
    redisUrl: REDIS_URL ?? null,
    staging: resolve(folder, LANDFALL_STAGING ?? join(home, 'staging')),
    evidence: evidenceAt(folder, LANDFALL_EVIDENCE ?? join(home, 'evidence')),
    cache: userCache(parsed.data) ?? join(home, 'cache'),
    logLevel: LANDFALL_LOG ?? 'info',
    access: readAccessSettings(given, { folder, home }),
  };
}

function evidenceAt(folder: string, place: string): string {
  return place.startsWith('s3://') || isAbsolute(place) ? place : resolve(folder, place);
}

/** By the XDG base directory specification, which has relative paths ignored; null: a service without a home. */
function userCache({ XDG_CACHE_HOME, HOME }: z.infer<typeof environmentSchema>): string | null {
  if (XDG_CACHE_HOME !== undefined && isAbsolute(XDG_CACHE_HOME)) return join(XDG_CACHE_HOME, 'landfall');
  return HOME !== undefined && isAbsolute(HOME) ? join(HOME, '.cache', 'landfall') : null;
}

function withoutEmpty(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value?.trim() !== ''));
}
