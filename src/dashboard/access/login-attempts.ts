/** How often somebody may try to log in: by address, and all addresses together. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuse } from './refusal.ts';

export type LoginAttempts = {
  /** Has this address tried too often? */
  isExhausted(request: FastifyRequest): Promise<boolean>;
  /** An attempt failed. */
  count(request: FastifyRequest): Promise<void>;
  refuse(request: FastifyRequest, reply: FastifyReply): FastifyReply;
};

const WINDOW_MS = 60_000;
const TRIES_EACH = 10;
/** Many addresses may be one attacker; an office behind one address is many people, and they seldom err at once. */
const TRIES_ALL = 200;

/** Needs @fastify/rate-limit. Only failures count: a team that logs in together is no attack. */
export function createLoginAttempts(fastify: FastifyInstance): LoginAttempts {
  const timeWindow = WINDOW_MS;
  const limits = [
    fastify.createRateLimit({ max: TRIES_EACH, timeWindow }),
    fastify.createRateLimit({ max: TRIES_ALL, timeWindow, keyGenerator: () => 'all' }),
  ];
  return {
    async isExhausted(request) {
      for (const limit of limits) {
        const found = await limit(request, { increment: false });
        if (!found.isAllowed && found.remaining <= 0) return true;
      }
      return false;
    },
    async count(request) {
      for (const limit of limits) await limit(request);
    },
    refuse(request, reply) {
      void reply.header('retry-after', String(WINDOW_MS / 1000));
      return refuse(request, reply, {
        status: 429,
        code: 'too-many-logins',
        message: 'Too many logins failed from there. Try again in a minute.',
      });
    },
  };
}
