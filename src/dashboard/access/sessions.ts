/**
 * Who is logged in. A session is kept in Redis under a random secret that only its browser has, so that logging out ends
 * it everywhere, whichever dashboard is asked and however often one is started anew.
 */
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import { orAborted } from '../../state/or-aborted.ts';
import type { SecretStore } from '../../state/secret-store.ts';
import { roleSchema } from '../api/session.ts';
import type { TokenBook } from './token-book.ts';
import type { User } from './user.ts';

const sessionSchema = z.discriminatedUnion('by', [
  // Name and role are the file's, as it stands when somebody asks.
  z.object({ by: z.literal('token'), digest: z.string() }),
  z.object({ by: z.literal('oidc'), name: z.string(), role: roleSchema }),
]);
export type StartedSession = z.infer<typeof sessionSchema>;

export type Sessions = {
  /** Gives the secret for the browser. */
  begin(session: StartedSession): Promise<string>;
  /** null: logged out, expired, its token gone, or never there. Throws `redis-away`. */
  find(secret: string): Promise<User | null>;
  /** Gives who it was. */
  end(secret: string): Promise<User | null>;
};

const HOUR_MS = 3_600_000;
/** A wall screen asks all the time, and stays through a long weekend; what was left behind closes over night. */
const IDLE_MS = 12 * HOUR_MS;
const TOKEN_LIFE_MS = 7 * 24 * HOUR_MS;
/** Groups change at the provider, and we hear of it at the next login only. */
const OIDC_LIFE_MS = 12 * HOUR_MS;
/** A Redis that takes longer is away. */
const ANSWER_MS = 3_000;

export function createSessions(deps: {
  store: SecretStore;
  tokens: TokenBook;
  /** Sessions of a provider that is not asked any more are none. */
  hasOidc: boolean;
}): Sessions {
  const { store, tokens, hasOidc } = deps;
  const userOf = async (kept: unknown): Promise<User | null> => {
    const parsed = sessionSchema.safeParse(kept);
    if (!parsed.success) return null;
    const session = parsed.data;
    if (session.by === 'oidc') return hasOidc ? { name: session.name, role: session.role } : null;
    const entry = await tokens.findDigest(session.digest);
    return entry === null ? null : { name: entry.name, role: entry.role };
  };
  return {
    begin(session) {
      const lifeMs = session.by === 'token' ? TOKEN_LIFE_MS : OIDC_LIFE_MS;
      return answered(store.keep('session', session, { lifeMs, idleMs: IDLE_MS }));
    },
    find: async (secret) => userOf(await answered(store.read('session', secret))),
    end: async (secret) => userOf(await answered(store.take('session', secret))),
  };
}

/** Redis lets its callers wait for as long as it is away; a browser must hear of it. */
export async function answered<T>(work: Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(ANSWER_MS);
  try {
    return await orAborted(work, late);
  } catch (error) {
    if (error !== late.reason) throw error;
    throw new LandfallError({
      code: 'redis-away',
      message:
        'Who is logged in cannot be told: Redis does not answer. The dashboard goes on as soon as it does.',
      retryable: true,
      cause: error,
    });
  }
}
