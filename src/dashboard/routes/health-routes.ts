/** For whoever watches over this server. `healthz`: it runs. `readyz`: it can answer. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Desk } from '../desk.ts';
import { REFUSALS, sendProblem } from '../problem.ts';

const healthySchema = z.object({ status: z.literal('ok') });
const PUBLIC = { access: 'public' } as const;

export const healthRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const schema = { response: { 200: healthySchema, ...REFUSALS } };
  server.get('/healthz', { config: PUBLIC, schema: { summary: 'Does it run?', ...schema } }, async () => ({
    status: 'ok' as const,
  }));
  server.get(
    '/readyz',
    { config: PUBLIC, schema: { summary: 'Can it answer?', ...schema } },
    async (_request, reply) => {
      const { redis, message } = desk.redis.health();
      if (redis === 'ok') return { status: 'ok' as const };
      return sendProblem(reply, { status: 503, code: 'redis-away', message: message ?? '' });
    },
  );
};
