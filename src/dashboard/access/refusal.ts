/** How access says no: as the API's problem to programs, as a plain page to people. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Problem } from '../api/session.ts';
import { plainPage } from './plain-page.ts';

export type Refusal = { status: number; code: string; message: string };

export function refuse(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { status, code, message } = refusal;
  void reply.code(status).header('cache-control', 'no-store');
  if (isForPeople(request)) {
    return reply
      .type('text/html; charset=utf-8')
      .send(plainPage({ title: 'Not possible', text: message, next: null }));
  }
  return reply.send({ error: { code, message } } satisfies Problem);
}

/** Did somebody follow a link or type an address? */
export function isForPeople({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept ?? '').includes('text/html');
}
