/** The cookie that holds a session's secret. */
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * `__Host-` has browsers take it only over TLS and for this very host: neither a neighbour's subdomain nor somebody on
 * the line can plant one. https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2
 */
const SECURE_NAME = '__Host-landfall';
const PLAIN_NAME = 'landfall';

export type CookiePolicy = {
  /** Is TLS used, whatever the connection to us is like? */
  isAlwaysTls: boolean;
};

export function readSessionCookie(request: FastifyRequest, policy: CookiePolicy): string | null {
  return request.cookies[isOverTls(request, policy) ? SECURE_NAME : PLAIN_NAME] ?? null;
}

export function setSessionCookie(
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  secret: string,
  policy: CookiePolicy,
): void {
  const isSecure = isOverTls(request, policy);
  void reply.setCookie(isSecure ? SECURE_NAME : PLAIN_NAME, secret, optionsOf(isSecure));
}

export function clearSessionCookie(
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  policy: CookiePolicy,
): void {
  const isSecure = isOverTls(request, policy);
  void reply.clearCookie(isSecure ? SECURE_NAME : PLAIN_NAME, optionsOf(isSecure));
}

export function isOverTls(request: FastifyRequest, { isAlwaysTls }: CookiePolicy): boolean {
  return isAlwaysTls || request.protocol === 'https';
}

/** Until the browser is closed; how long it counts is for the session to say. */
function optionsOf(isSecure: boolean): CookieSerializeOptions {
  return { path: '/', httpOnly: true, sameSite: 'strict', secure: isSecure };
}
