/** Who did what that is of no run. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { StoredAuditEntry } from '../../state/audit-stream.ts';
import { auditListSchema } from '../api/audit.ts';
import type { Desk } from '../desk.ts';
import { REFUSALS } from '../problem.ts';

export const auditRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const { redis, state } = desk;
  server.get(
    '/api/audit',
    {
      schema: {
        summary: 'Who did what that is of no run, oldest first: the newest, or those before an id',
        querystring: z.object({
          before: z
            .string()
            .regex(/^\d+-\d+$/)
            .optional(),
          limit: z.coerce.number().int().min(1).max(1_000).default(200),
        }),
        response: { 200: auditListSchema, ...REFUSALS },
      },
    },
    ({ query: { before = '+', limit } }) =>
      redis.whileThere(async () => {
        const newestFirst: StoredAuditEntry[] = [];
        for await (const entry of state.audit.readBack(before)) {
          if (newestFirst.length === limit) return { entries: newestFirst.toReversed(), hasMore: true };
          newestFirst.push(entry);
        }
        return { entries: newestFirst.toReversed(), hasMore: false };
      }),
  );
};
