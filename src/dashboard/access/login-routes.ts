/** Who looks, logging in with a token, logging out. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { AuditEntry } from '../../state/audit-stream.ts';
import { loginSchema, type Session, sessionSchema } from '../api/session.ts';
import { REFUSALS } from '../problem.ts';
import type { LoginAttempts } from './login-attempts.ts';
import { refuse } from './refusal.ts';
import {
  type CookiePolicy,
  clearSessionCookie,
  readSessionCookie,
  setSessionCookie,
} from './session-cookie.ts';
import type { Sessions } from './sessions.ts';
import type { TokenBook } from './token-book.ts';
import { digestToken } from './token-file.ts';

export type LoginDesk = {
  login: Session['login'];
  version: string;
  tokens: TokenBook;
  sessions: Sessions;
  cookies: CookiePolicy;
  attempts: LoginAttempts;
  /** Logins that worked, that did not, and their end. */
  audit: (entry: AuditEntry) => Promise<void>;
};

export function registerLoginRoutes(server: FastifyInstance, desk: LoginDesk): void {
  const fastify = server.withTypeProvider<ZodTypeProvider>();
  const { login, version, tokens, sessions, cookies, attempts, audit } = desk;
  const config = { access: 'public' } as const;
  const response = { 200: sessionSchema, ...REFUSALS };

  fastify.get(
    '/api/session',
    { config, schema: { summary: 'Who asks, and how one logs in', response } },
    async ({ user }): Promise<Session> => ({ user, login, version }),
  );

  fastify.post(
    '/api/login',
    { config, schema: { summary: 'Log in with a token', body: loginSchema, response } },
    async (request, reply) => {
      if (login === 'none') return reply.send({ user: request.user, login, version } satisfies Session);
      if (await attempts.isExhausted(request)) return attempts.refuse(request, reply);
      const token = request.body.token.trim();
      const entry = await tokens.find(token);
      if (entry === null) {
        if (await attempts.countFailure(request))
          await audit({
            action: 'login-refused',
            by: 'unknown',
            reason: `unknown token, from ${request.ip}`,
          });
        return refuse(request, reply, {
          status: 401,
          code: 'login-refused',
          message:
            'This token is not known here, or not any more. `landfall token NAME --role ROLE` makes one.',
        });
      }
      // What this browser held before ends: nobody may have planted it and share the new one.
      const before = readSessionCookie(request, cookies);
      if (before !== null) await sessions.end(before);
      const secret = await sessions.begin({ by: 'token', digest: digestToken(token) ?? '' });
      const user = { name: entry.name, role: entry.role };
      await audit({ action: 'login', by: user.name, reason: `as ${user.role} by token, from ${request.ip}` });
      setSessionCookie({ request, reply }, secret, cookies);
      return reply.send({ user, login, version } satisfies Session);
    },
  );

  fastify.post(
    '/api/logout',
    { config, schema: { summary: 'Log out', response } },
    async (request, reply) => {
      const secret = readSessionCookie(request, cookies);
      const user = secret === null ? null : await sessions.end(secret);
      if (user !== null) await audit({ action: 'logout', by: user.name, reason: `from ${request.ip}` });
      clearSessionCookie({ request, reply }, cookies);
      return reply.send({ user: login === 'none' ? request.user : null, login, version } satisfies Session);
    },
  );
}
