/** What commands need that only look: the records and, once somebody asks, the evidence. No adapter is loaded for it. */
import type { Config } from './config.ts';
import { LandfallError } from './domain/errors.ts';
import type { Evidence } from './domain/ports.ts';
import { readUpNote } from './home.ts';
import type { ConnectionNotice } from './state/redis.ts';
import { openState, type State } from './state/state.ts';

export type View = AsyncDisposable & {
  state: State;
  openEvidence(): Promise<Evidence>;
};

/** Throws `redis-away`. */
export async function openView(config: Config, notice?: ConnectionNotice): Promise<View> {
  const state = openState(await redisUrlOf(config), notice);
  return {
    state,
    async openEvidence() {
      // It brings the vendor's S3 client along: a third of a second that `status` must not cost.
      const { openEvidence } = await import('./evidence/evidence.ts');
      return openEvidence(config.evidence);
    },
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}

/** REDIS_URL, or the Redis of the `up` that owns the home. Throws `redis-away`. */
export async function redisUrlOf({ home, redisUrl }: Config): Promise<string> {
  if (redisUrl !== null) return redisUrl;
  const note = await readUpNote(home);
  if (note !== null) return note.redisUrl;
  throw new LandfallError({
    code: 'redis-away',
    message: `No \`landfall up\` owns ${home}, so there is no Redis to ask. Start one with \`landfall up\`, or set REDIS_URL.`,
    retryable: true,
  });
}
