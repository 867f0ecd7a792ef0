/** How access says no: as the API's problem to programs, as a plain page to people. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { sendProblem } from '../problem.ts';
import { type PlainPage, plainPage } from './plain-page.ts';

export type Refusal = { status: number; code: string; message: string };

export function refuse(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  if (!isForPeople(request)) return sendProblem(reply, refusal);
  const { status, message } = refusal;
  return sendPage(reply, { status, title: 'Not possible', text: message, next: null });
}

export function sendPage(
  reply: FastifyReply,
  { status, ...page }: PlainPage & { status: number },
): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('text/html; charset=utf-8')
    .send(plainPage(page));
}

/** Did somebody follow a link or type an address? */
export function isForPeople({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept ?? '').includes('text/html');
}
