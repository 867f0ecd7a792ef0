/** Pages that stay open are told what changes. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LandfallError } from '../../domain/errors.ts';
import type { Access } from '../access/access.ts';
import type { Desk } from '../desk.ts';
import { healthMessage, openEventSource } from '../live/event-source.ts';
import { REFUSALS } from '../problem.ts';

/** More open pages than that are a mistake, or meant badly. */
const MOST_PAGES = 1_000;
const STILL_IN_MS = 60_000;
/** Numbers of 64 bits; a longer one is none of ours. */
const EVENT_ID = /^\d{1,19}(-\d{1,19})?$/;

export const liveRoutes: FastifyPluginAsyncZod<{ desk: Desk; access: Access }> = async (
  server,
  { desk, access },
) => {
  const { hub, redis } = desk;
  server.get(
    '/api/live',
    {
      exposeHeadRoute: false,
      schema: {
        summary: 'Server-sent events: what is new of a run, or of all runs',
        description:
          'Messages: runs, run, machines, event, health. The header Last-Event-ID goes before `lastEventId`.',
        querystring: z.object({
          run: z.string().min(1).max(200).optional(),
          lastEventId: z.string().max(100).optional().describe('Of the last event that the page knows'),
        }),
        headers: z.looseObject({ 'last-event-id': z.string().max(100).optional() }),
        produces: ['text/event-stream'],
        response: { 200: z.any().describe('text/event-stream'), ...REFUSALS },
      },
    },
    async (request, reply) => {
      if (hub.pages() >= MOST_PAGES) throw tooMany();
      const { run, lastEventId } = request.query;
      // A browser that comes back is not turned away because Redis is not back yet.
      const id =
        run === undefined || redis.health().redis === 'away'
          ? run
          : (await redis.whileThere(() => desk.findRun(run))).id;
      const last = request.headers['last-event-id'] ?? lastEventId;
      const { raw } = reply.hijack();
      // It left while we looked: nobody would ever tell that it is gone.
      if (raw.destroyed) return;
      const page = openEventSource({
        raw,
        headers: reply.getHeaders(),
        heartbeat: () => healthMessage(redis.health()),
      });
      const checking = setInterval(() => {
        access.isStillIn(request).then(
          (isIn) => isIn || page.end(),
          () => {},
        );
      }, STILL_IN_MS);
      page.gone.addEventListener('abort', () => clearInterval(checking));
      hub.join(page, {
        run: id ?? null,
        afterId: last !== undefined && EVENT_ID.test(last) ? last : null,
      });
    },
  );
};

function tooMany(): LandfallError {
  return new LandfallError({
    code: 'conflict',
    message: `${MOST_PAGES} pages of this dashboard are open. Close some, or start another: \`landfall dashboard --listen …\`.`,
  });
}
