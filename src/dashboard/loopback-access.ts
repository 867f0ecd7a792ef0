/** Access as it is on this machine's own address: whoever reaches it may act. Stands in for src/dashboard/access. */
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { User } from './access/user.ts';
import { type Session, sessionSchema } from './api/session.ts';

/** What the server needs of whoever guards it. */
export type Access = {
  login: Session['login'];
  /** For Fastify's constructor: whose word about a request counts, and TLS. */
  serverOptions: Pick<FastifyServerOptions, 'trustProxy' | 'serverFactory'>;
  /** Guards all routes by their `config.access`, and adds those of the login. Before any other plugin. */
  register(server: FastifyInstance): Promise<void>;
  /** May whoever opened this long-lived answer still have it? */
  isStillIn(request: FastifyRequest): Promise<boolean>;
};

export function openLoopbackAccess({ name, version }: { name: string; version: string }): Access {
  const user: User = { name, role: 'approver' };
  return {
    login: 'none',
    serverOptions: {},
    async register(server) {
      server.decorateRequest('user', null);
      server.addHook('onRequest', async (request) => {
        request.user = user;
      });
      server.get(
        '/api/session',
        { config: { access: 'public' }, schema: { response: { 200: sessionSchema } } },
        async (request): Promise<Session> => ({ user: request.user, login: 'none', version }),
      );
    },
    isStillIn: async () => true,
  };
}
