/** What operators do to a run and its machines. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { LandfallError, saveError } from '../../domain/errors.ts';
import { hasRole, type User } from '../access/user.ts';
import { actorOf } from '../actor.ts';
import {
  type Action,
  actionSchema,
  deedSchema,
  type Outcome,
  outcomeSchema,
  previewSchema,
} from '../api/action.ts';
import { performDeed, previewDeed } from '../deeds/deeds.ts';
import type { Desk } from '../desk.ts';
import { REFUSALS, sendProblem } from '../problem.ts';
import { runParams } from './run-routes.ts';

/** Thousands of machines take longer than anybody waits for an answer: what is done shows as it is done. */
const ANSWER_MS = 12_000;
const NOT_ALLOWED = 'not-allowed';

export const actionRoutes: FastifyPluginAsyncZod<{ desk: Desk }> = async (server, { desk }) => {
  const { redis, log } = desk;
  // Nobody's leaving takes an action back: only the server's own end does.
  const ending = new AbortController();
  server.addHook('preClose', async () => ending.abort(goingDown()));

  server.post(
    '/api/runs/:run/preview',
    {
      schema: {
        summary: 'What an action would do',
        params: runParams,
        body: actionSchema,
        response: { 200: previewSchema, ...REFUSALS },
      },
    },
    async ({ params, body, user: asks }) => {
      const user = actorOf(asks);
      const of = { idOrWave: params.run, user, signal: ending.signal };
      const preview = await redis.whileThere(() => previewDeed(desk, { ...of, action: body }));
      return { ...preview, refusal: refuseRole(user, body) ?? preview.refusal };
    },
  );

  server.post(
    '/api/runs/:run/actions',
    {
      config: { access: 'operator' },
      schema: {
        summary: 'Do it',
        description: '202: it takes longer, and goes on.',
        params: runParams,
        body: deedSchema,
        response: { 200: outcomeSchema, 202: outcomeSchema, ...REFUSALS },
      },
    },
    async ({ params, body, user: asks }, reply) => {
      const user = actorOf(asks);
      const refusal = refuseRole(user, body);
      if (refusal !== null) return sendProblem(reply, { status: 403, code: NOT_ALLOWED, message: refusal });
      const of = { idOrWave: params.run, user, signal: ending.signal };
      // Not begun while Redis is away: it would be done at some time, to whatever is there then.
      const begun: { doing: Promise<Outcome> | null } = { doing: null };
      const outcome = await redis
        .whileThere(() => {
          begun.doing = performDeed(desk, { ...of, deed: body });
          return withinTime(begun.doing);
        })
        .catch((error: unknown) => {
          throw begun.doing === null || !isRedisAway(error) ? error : halfDone(error);
        });
      if (outcome !== null) return outcome;
      begun.doing?.catch((error: unknown) =>
        log(
          'warn',
          `${body.action} of ${params.run} by ${user.name} did not come to its end: ${saveError(error).message}`,
        ),
      );
      return reply.code(202).send(stillAtIt(body));
    },
  );
};

/** null: it takes longer. */
async function withinTime(doing: Promise<Outcome>): Promise<Outcome | null> {
  const late = new AbortController();
  try {
    return await Promise.race([doing, sleep(ANSWER_MS, null, { signal: late.signal })]);
  } finally {
    late.abort();
  }
}

function stillAtIt({ action }: Action): Outcome {
  return {
    message: `${action} takes longer and goes on: the events tell what was done, and whether something was refused.`,
    changed: [],
  };
}

/** Everything else is for operators. */
function refuseRole(user: User, { action }: Action): string | null {
  const role = action === 'approve' ? 'approver' : 'operator';
  if (hasRole(user, role)) return null;
  return `This takes the role ${role}; ${user.name} is ${user.role}.`;
}

function isRedisAway(error: unknown): boolean {
  return saveError(error).code === 'redis-away';
}

/** What waits for Redis goes on once it is back. */
function halfDone(cause: unknown): LandfallError {
  return new LandfallError({
    code: 'redis-away',
    message:
      'Redis went away while this was being done, so nobody knows how far it came. What is left of it may still be done once Redis is back: look before you do it again.',
    retryable: true,
    cause,
  });
}

function goingDown(): LandfallError {
  return new LandfallError({
    code: 'cancelled',
    message: 'The dashboard is going down. What was begun is in the events; do the rest again.',
  });
}
