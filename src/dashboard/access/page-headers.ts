/**
 * What the browser is told about every answer: run nothing that did not come from here as a file, be framed by nobody,
 * keep no answer of the API.
 */
import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** Without quotes at the edges, as helmet takes them. */
export const CONTENT_SECURITY_POLICY = {
  'default-src': ["'self'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
  'object-src': ["'none'"],
  'base-uri': ["'self'"],
  'form-action': ["'self'"],
  'frame-ancestors': ["'none'"],
} as const satisfies Record<string, readonly string[]>;

const YEAR_SECONDS = 31_536_000;
/** What these paths answer is of one moment, and of one user. */
const NEVER_KEPT = /^\/(api|metrics|queues)(\/|\?|$)/;

export async function registerHeaders(
  fastify: FastifyInstance,
  { isTls }: { /** Is it reached over TLS only? */ isTls: boolean },
): Promise<void> {
  await fastify.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: Object.fromEntries(
        Object.entries(CONTENT_SECURITY_POLICY).map(([name, sources]) => [name, [...sources]]),
      ),
    },
    // `no-referrer`, helmet's default, has browsers send `Origin: null` with forms of our own.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: isTls ? { maxAge: YEAR_SECONDS, includeSubDomains: false } : false,
    xFrameOptions: { action: 'deny' },
  });
  fastify.addHook('onRequest', async (request, reply) => {
    if (NEVER_KEPT.test(request.routeOptions.url ?? request.url))
      void reply.header('cache-control', 'no-store');
  });
}
