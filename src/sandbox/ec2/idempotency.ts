/** Client tokens: the same request again gets the same answer; other parameters under the same token are refused. */
import { createHash } from 'node:crypto';
import type { JsonValue } from '../../domain/json.ts';
import { refuse } from './refusals.ts';
import type { IdempotencyKey } from './state.ts';

const MAX_TOKEN_LENGTH = 64;

/** null where the request carries no token. */
export function readToken(token: string | undefined, parameters: unknown): IdempotencyKey | null {
  if (token === undefined) return null;
  if (token.length > MAX_TOKEN_LENGTH || !/^[\x20-\x7e]+$/.test(token)) {
    throw refuse(
      'InvalidParameterValue',
      `Value (${token}) for parameter clientToken is invalid. Up to ${MAX_TOKEN_LENGTH} ASCII characters are allowed.`,
    );
  }
  const canonical = JSON.stringify(sortKeys(parameters as JsonValue));
  return { token, parameters: createHash('sha256').update(canonical).digest('hex') };
}

/** What an earlier request under this token made. Throws IdempotentParameterMismatch. */
export function findByToken<T extends { idempotency: IdempotencyKey | null }>(
  members: readonly T[],
  key: IdempotencyKey | null,
): T[] {
  if (key === null) return [];
  const made = members.filter(({ idempotency }) => idempotency?.token === key.token);
  if (made.some(({ idempotency }) => idempotency?.parameters !== key.parameters)) {
    throw refuse(
      'IdempotentParameterMismatch',
      'Arguments on this idempotent request are inconsistent with arguments used in previous request(s).',
    );
  }
  return made;
}

function sortKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, child]) => [key, sortKeys(child)]));
}
