/**
 * The way to the provider and back. Two cookies, because the way back begins at another site: the session's is strict and
 * would not come along, so a short-lived lax one carries the flow; and the first page after the login is reached from a
 * page of our own, not by the provider's redirect, so that the session's cookie comes along there.
 */
import type { CookieSerializeOptions } from '@fastify/cookie';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { asLandfallError } from '../../domain/errors.ts';
import type { SecretStore } from '../../state/secret-store.ts';
import { localPath } from './local-path.ts';
import type { LoginDesk } from './login-routes.ts';
import type { OidcProvider } from './oidc-provider.ts';
import { refuse, sendPage } from './refusal.ts';
import { isOverTls, readSessionCookie, setSessionCookie } from './session-cookie.ts';
import { answered } from './sessions.ts';

const LOGIN_PATH = '/api/login/oidc';
export const CALLBACK_PATH = `${LOGIN_PATH}/callback`;

const FLOW_COOKIE = 'landfall-login';
/** For a password, a second factor and a forgotten phone. */
const FLOW_MS = 15 * 60_000;

const flowSchema = z.object({ state: z.string(), nonce: z.string(), verifier: z.string(), to: z.string() });
const querySchema = z.object({ to: z.string().max(2_000).optional().catch(undefined) });

export type OidcDesk = LoginDesk & {
  provider: OidcProvider;
  store: SecretStore;
  /** The address that people type, where it is known. */
  ownOrigin: string | null;
};

export function registerOidcRoutes(fastify: FastifyInstance, desk: OidcDesk): void {
  const { provider, store, sessions, cookies, attempts, audit } = desk;
  // For browsers on their way, not for programs.
  const isPublic = { config: { access: 'public' }, schema: { hide: true } } as const;
  const originOf = (request: FastifyRequest): string =>
    desk.ownOrigin ?? `${isOverTls(request, cookies) ? 'https' : 'http'}://${request.host}`;
  const flowCookie = (request: FastifyRequest): CookieSerializeOptions => ({
    path: LOGIN_PATH,
    httpOnly: true,
    sameSite: 'lax',
    secure: isOverTls(request, cookies),
    maxAge: FLOW_MS / 1000,
  });

  fastify.get(LOGIN_PATH, isPublic, async (request, reply) => {
    if (!(await attempts.mayBegin(request))) return attempts.refuse(request, reply);
    const origin = originOf(request);
    const to = localPath(querySchema.parse(request.query).to ?? '/', origin);
    const begun = await provider.begin(`${origin}${CALLBACK_PATH}`).catch(asLandfallError);
    if (begun instanceof Error)
      return refuse(request, reply, { status: 502, code: begun.code, message: begun.message });
    const { url, flow } = begun;
    const life = { lifeMs: FLOW_MS, idleMs: FLOW_MS };
    const secret = await answered(store.keep('login', { ...flow, to }, life));
    void reply.setCookie(FLOW_COOKIE, secret, flowCookie(request));
    return reply.redirect(url.href, 303);
  });

  fastify.get(CALLBACK_PATH, isPublic, async (request, reply) => {
    if (await attempts.isExhausted(request)) return attempts.refuse(request, reply);
    const secret = request.cookies[FLOW_COOKIE];
    void reply.clearCookie(FLOW_COOKIE, { ...flowCookie(request), maxAge: 0 });
    // Taken, so that one answer is one login.
    const kept = secret === undefined ? null : await answered(store.take('login', secret));
    const parsed = flowSchema.safeParse(kept);
    if (!parsed.success) return failed(request, reply, NOT_BEGUN_HERE);
    const { to, ...flow } = parsed.data;
    const answer = new URL(request.url, originOf(request));
    const person = await provider.finish(answer, flow).catch(asLandfallError);
    if (person instanceof Error) return failed(request, reply, person.message);
    const { name, role } = person;
    if (role === null) return failed(request, reply, `${name} has no role here. ${HOW_TO_GET_ROLE}`, name);
    const before = readSessionCookie(request, cookies);
    if (before !== null) await sessions.end(before);
    setSessionCookie({ request, reply }, await sessions.begin({ by: 'oidc', name, role }), cookies);
    await audit({ action: 'login', by: name, reason: `as ${role} by the provider, from ${request.ip}` });
    return sendPage(reply, {
      status: 200,
      title: 'Logged in',
      text: `You are logged in as ${name} (${role}).`,
      next: to,
    });
  });

  const failed = async (
    request: FastifyRequest,
    reply: FastifyReply,
    why: string,
    by = 'unknown',
  ): Promise<FastifyReply> => {
    if (await attempts.countFailure(request))
      await audit({ action: 'login-refused', by, reason: `${why} From ${request.ip}` });
    return refuse(request, reply, { status: 403, code: 'login-refused', message: why });
  };
}

const NOT_BEGUN_HERE =
  'This login was not begun in this browser, or too long ago. Open the dashboard and log in again.';
const HOW_TO_GET_ROLE = 'Ask whoever runs Landfall for a group that LANDFALL_OIDC_ROLES names.';
