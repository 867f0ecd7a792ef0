/**
 * Values that belong to whoever holds a secret: sessions, logins under way. Redis holds digests of the secrets only, so
 * that whoever reads it, or a backup of it, cannot act as somebody who is logged in.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { JsonObject } from '../domain/json.ts';
import { keys } from './keys.ts';
import { createScript } from './script.ts';

export type SecretKind = 'session' | 'login';

export interface SecretStore {
  /** Keeps a value and gives its new secret. It is forgotten after `lifeMs`, or when nobody asks for it for `idleMs`. */
  keep(kind: SecretKind, value: JsonObject, life: { lifeMs: number; idleMs: number }): Promise<string>;
  /** null: there is none, or none any more. */
  read(kind: SecretKind, secret: string): Promise<JsonObject | null>;
  /** The same, and forgets it: nobody gets it twice. */
  take(kind: SecretKind, secret: string): Promise<JsonObject | null>;
}

const SECRET_BYTES = 32;
const SECRET = /^[A-Za-z0-9_-]{43}$/;

export function createSecretStore(redis: Redis): SecretStore {
  return {
    async keep(kind, value, { lifeMs, idleMs }) {
      const secret = randomBytes(SECRET_BYTES).toString('base64url');
      await KEEP(redis, [keyOf(kind, secret)], [JSON.stringify(value), lifeMs, Math.min(lifeMs, idleMs)]);
      return secret;
    },
    async read(kind, secret) {
      return SECRET.test(secret) ? parse(await READ(redis, [keyOf(kind, secret)], [])) : null;
    },
    async take(kind, secret) {
      return SECRET.test(secret) ? parse(await TAKE(redis, [keyOf(kind, secret)], [])) : null;
    },
  };
}

function keyOf(kind: SecretKind, secret: string): string {
  return keys.secret(kind, createHash('sha256').update(secret).digest('hex'));
}

function parse(json: unknown): JsonObject | null {
  return typeof json === 'string' ? (JSON.parse(json) as JsonObject) : null;
}

const KEEP = createScript(`
local time = redis.call('TIME')
local endsAt = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', KEYS[1], 'json', ARGV[1], 'endsAt', string.format('%.0f', endsAt), 'idleMs', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`);

const READ = createScript(`
local json, endsAt, idleMs = unpack(redis.call('HMGET', KEYS[1], 'json', 'endsAt', 'idleMs'))
if not json then return false end
local time = redis.call('TIME')
local leftMs = endsAt - (time[1] * 1000 + math.floor(time[2] / 1000))
if leftMs <= 0 then
  redis.call('DEL', KEYS[1])
  return false
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(leftMs, idleMs)))
return json
`);

const TAKE = createScript(`
local json = redis.call('HGET', KEYS[1], 'json')
redis.call('DEL', KEYS[1])
return json
`);
