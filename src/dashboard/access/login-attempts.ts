/** How often somebody may try to log in. Tokens cannot be guessed; what is protected is the audit trail, and Redis. */
import { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuse } from './refusal.ts';

export type LoginAttempts = {
  /** Did too many logins from this address fail? */
  isExhausted(request: FastifyRequest): Promise<boolean>;
  /** An attempt failed. Gives whether it is to be written down: a flood from many addresses must not wash the trail away. */
  countFailure(request: FastifyRequest): Promise<boolean>;
  /** May this address be sent to the provider once more? Each time something is kept for it. */
  mayBegin(request: FastifyRequest): Promise<boolean>;
  refuse(request: FastifyRequest, reply: FastifyReply): FastifyReply;
};

const WINDOW_MS = 60_000;
const FAILURES = 10;
const FAILURES_WRITTEN = 200;
/** An office behind one address, on a Monday morning. */
const BEGUN = 60;

/** Needs @fastify/rate-limit. A team that logs in together is no attack: of what worked nothing is counted. */
export function createLoginAttempts(fastify: FastifyInstance): LoginAttempts {
  const timeWindow = WINDOW_MS;
  const failures = fastify.createRateLimit({ max: FAILURES, timeWindow });
  const written = fastify.createRateLimit({
    max: FAILURES_WRITTEN,
    timeWindow,
    keyGenerator: () => 'everybody',
  });
  const begun = fastify.createRateLimit({
    max: BEGUN,
    timeWindow,
    keyGenerator: ({ ip }) => `begun ${normalizeIP(ip)}`,
  });
  return {
    async isExhausted(request) {
      const found = await failures(request, { increment: false });
      return !found.isAllowed && found.remaining <= 0;
    },
    async countFailure(request) {
      await failures(request);
      const found = await written(request);
      return found.isAllowed || !found.isExceeded;
    },
    async mayBegin(request) {
      const found = await begun(request);
      return found.isAllowed || !found.isExceeded;
    },
    refuse(request, reply) {
      void reply.header('retry-after', String(WINDOW_MS / 1000));
      return refuse(request, reply, {
        status: 429,
        code: 'too-many-logins',
        message: 'Too many logins from there. Try again in a minute.',
      });
    },
  };
}
