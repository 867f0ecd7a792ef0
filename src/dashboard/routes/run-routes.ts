/** Runs, and what is known of each. */
import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { readThroughput } from '../../operations/estimate-run.ts';
import { eventListSchema } from '../api/machine.ts';
import { runDetailSchema, runListSchema, throughputSchema } from '../api/run.ts';
import type { Desk } from '../desk.ts';
import { readEvents } from '../event-list.ts';
import { REFUSALS } from '../problem.ts';

export const runParams = z.object({
  run: z.string().min(1).max(200).describe('Its id, or the name of its wave'),
});

export const runRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const { boards, redis, state } = desk;

  server.get(
    '/api/runs',
    { schema: { summary: 'All runs, newest first', response: { 200: runListSchema, ...REFUSALS } } },
    () => redis.whileThere(() => boards.list()),
  );

  server.get(
    '/api/runs/:run',
    {
      schema: {
        summary: 'A run with its machines',
        params: runParams,
        response: { 200: runDetailSchema, ...REFUSALS },
      },
    },
    async ({ params }, reply) => {
      const json = await redis.whileThere(async () => (await boards.board(params.run)).detailJson());
      return (reply as FastifyReply).type('application/json; charset=utf-8').send(json);
    },
  );

  server.get(
    '/api/runs/:run/throughput',
    {
      schema: {
        summary: 'What was moved over time',
        params: runParams,
        response: { 200: throughputSchema, ...REFUSALS },
      },
    },
    ({ params }) => redis.whileThere(async () => readThroughput(state, (await desk.findRun(params.run)).id)),
  );

  server.get(
    '/api/runs/:run/events',
    {
      schema: {
        summary: 'What happened, oldest first: the newest, or those before an id',
        params: runParams,
        querystring: z.object({
          machine: z.string().max(200).optional().describe('Only what is about it'),
          kind: z.enum(['all', 'audit']).default('all').describe('audit: who did what, and what came of it'),
          before: z
            .string()
            .regex(/^[1-9]\d{0,18}-\d{1,19}$/)
            .optional(),
          limit: z.coerce.number().int().min(1).max(1_000).default(200),
        }),
        response: { 200: eventListSchema, ...REFUSALS },
      },
    },
    ({ params, query }) =>
      redis.whileThere(async () => readEvents(state, { run: await desk.findRun(params.run), ...query })),
  );
};
