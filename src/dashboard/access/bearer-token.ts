import type { FastifyRequest } from 'fastify';

/** The token that a program sends with its request; null: it sends none. What a proxy asks for (`Basic …`) is not for us. */
export function tokenOf({ headers: { authorization = '' } }: FastifyRequest): string | null {
  const [scheme = '', token = ''] = authorization.trim().split(/ +/);
  return scheme.toLowerCase() === 'bearer' ? token : null;
}
