/** How the dashboard says no: every refusal has one shape and a status that fits; what nobody foresaw is logged. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { asLandfallError, type ErrorCode, LandfallError } from '../domain/errors.ts';
import type { Log } from '../log.ts';
import { type Problem, problemSchema } from './api/session.ts';

/** For routes: what the schema of their refusals is. */
export const REFUSALS = { '4xx': problemSchema, '5xx': problemSchema } as const;

/** When Redis is away, ask again after so many seconds. */
const RETRY_AFTER_SECONDS = '2';

export function answerProblems(server: FastifyInstance, log: Log): void {
  server.setErrorHandler((thrown: unknown, request, reply) => {
    const error = isFastifyError(thrown) ? fromFastify(thrown) : asLandfallError(thrown);
    const status = isFastifyError(thrown) ? (thrown.statusCode ?? 500) : statusOf(error);
    if (status >= 500 && error.code !== 'redis-away') logFault(log, request, error);
    return sendProblem(reply, { status, code: error.code, message: error.message });
  });
}

export function sendProblem(
  reply: FastifyReply,
  { status, code, message }: { status: number; code: string; message: string },
): FastifyReply {
  if (status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS);
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/json; charset=utf-8')
    .serializer(JSON.stringify)
    .send({ error: { code, message } } satisfies Problem);
}

/** The rest is what happened on our side. */
const STATUSES: Partial<Record<ErrorCode, number>> = {
  usage: 400,
  'not-found': 404,
  'machine-busy': 409,
  conflict: 409,
  'preflight-refused': 409,
  'source-changed': 409,
  'source-not-off': 409,
  'window-closed': 409,
  'lease-lost': 409,
  'target-denied': 502,
  'target-missing': 502,
  'target-refused': 502,
  'target-limit': 502,
  'target-unavailable': 502,
  'source-unavailable': 502,
  'evidence-unavailable': 502,
  'redis-away': 503,
  cancelled: 503,
};

export function statusOf({ code }: LandfallError): number {
  return STATUSES[code] ?? 500;
}

function isFastifyError(thrown: unknown): thrown is FastifyError {
  return thrown instanceof Error && !(thrown instanceof LandfallError) && 'statusCode' in thrown;
}

/** What Fastify itself refuses: no JSON, too long, not as the schema says. */
function fromFastify(error: FastifyError): LandfallError {
  if (hasZodFastifySchemaValidationErrors(error)) {
    const wrong = error.validation.map(
      ({ instancePath, message }) =>
        `${instancePath.replace(/^\//, '').replaceAll('/', '.') || 'it'}: ${message}`,
    );
    const place = error.validationContext ?? 'request';
    return new LandfallError({
      code: 'usage',
      message: `The ${place} is not as it should be: ${wrong.join('; ')}. /api/openapi.json says how.`,
    });
  }
  const isOurs = (error.statusCode ?? 500) >= 500;
  return new LandfallError({ code: isOurs ? 'internal' : 'usage', message: error.message, cause: error });
}

function logFault(log: Log, { method, url }: FastifyRequest, error: LandfallError): void {
  const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
  log('error', `The dashboard could not answer ${method} ${url}: ${error.message}`, { stack });
}
