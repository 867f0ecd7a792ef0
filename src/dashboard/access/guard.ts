/**
 * Every request passes here first: is it addressed to us, was it meant by whoever sends it, who is that, may they. A route
 * that does not say otherwise is for viewers.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Session } from '../api/session.ts';
import { tokenOf } from './bearer-token.ts';
import { isFromElsewhere, judgeSite } from './cross-site.ts';
import { type HostNames, isOurHost } from './host-names.ts';
import { localPath } from './local-path.ts';
import type { LoginAttempts } from './login-attempts.ts';
import { isForPeople, type Refusal, refuse, sendPage } from './refusal.ts';
import { hasRole, type User } from './user.ts';

export type Guard = {
  login: Session['login'];
  hosts: HostNames;
  /** The address that people type, where it is known. */
  ownOrigin: string | null;
  findUser(request: FastifyRequest): Promise<User | null>;
  attempts: LoginAttempts;
};

/** Whoever sends them is between somebody else and us. */
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

export function guardRoutes(
  fastify: FastifyInstance,
  { login, hosts, ownOrigin, findUser, attempts }: Guard,
): void {
  fastify.decorateRequest('user', null);
  // JSON only: a foreign page can send text without asking us first, but no JSON.
  fastify.removeContentTypeParser('text/plain');

  fastify.addHook('onRequest', async (request, reply) => {
    const { method, headers, host } = request;
    if (!isOurHost(host, hosts)) return refuse(request, reply, wrongHost(host));
    if (login === 'none' && PROXY_HEADERS.some((name) => headers[name] !== undefined))
      return refuse(request, reply, PROXIED);
    const foreign = judgeSite({ method, headers, host }, ownOrigin);
    if (foreign !== null) return refuse(request, reply, crossSite(foreign));
  });

  fastify.addHook('onRequest', async (request, reply) => {
    const access = request.is404 ? 'public' : (request.routeOptions.config.access ?? 'viewer');
    const isTokenSent = login !== 'none' && tokenOf(request) !== null;
    if (isTokenSent && (await attempts.isExhausted(request))) return attempts.refuse(request, reply);
    // Whether anybody is logged in must be known on the login page too, but not to fetch its style sheet.
    if (access === 'public' && !request.url.startsWith('/api/')) return;
    request.user = await findUser(request);
    if (isTokenSent && request.user === null) await attempts.countFailure(request);
    if (access === 'public') return;
    if (request.user === null) {
      if (!isForPeople(request)) return refuse(request, reply, NOT_LOGGED_IN);
      const to = localPath(request.url, 'http://localhost');
      // A link in a chat or a mail: the session's cookie does not come along from there, but from a page of ours.
      if (isFromElsewhere(request.headers))
        return sendPage(reply, { status: 200, title: 'Landfall', text: 'One moment …', next: to });
      return reply.redirect(`/login?to=${encodeURIComponent(to)}`, 303);
    }
    if (!hasRole(request.user, access)) return refuse(request, reply, notAllowed(request.user, access));
  });
}

const PROXIED: Refusal = {
  status: 403,
  code: 'login-required',
  message: `This request came through a proxy, and nobody has to log in here. Make a token: \`landfall token NAME --role operator\`. Then start the dashboard again.`,
};
const NOT_LOGGED_IN: Refusal = {
  status: 401,
  code: 'login-required',
  message: 'Log in first: nobody is logged in here, or not any more.',
};

function wrongHost(host: string): Refusal {
  const called = JSON.stringify(host.slice(0, 100));
  return {
    status: 421,
    code: 'wrong-host',
    message: `The dashboard was called ${called}, which is none of its names. Use one of them, or add this one to LANDFALL_DASHBOARD_HOSTS.`,
  };
}

function crossSite(why: string): Refusal {
  return {
    status: 403,
    code: 'cross-site',
    message: `The request was refused: ${why}. Open the dashboard itself and act there.`,
  };
}

function notAllowed({ name, role }: User, wanted: string): Refusal {
  return {
    status: 403,
    code: 'not-allowed',
    message: `${name} is ${role} here, and this is for ${wanted}s. Ask whoever gives roles (docs/dashboard.md).`,
  };
}
