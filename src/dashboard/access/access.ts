/**
 * Who may reach the dashboard, and do what. On this machine's own address nobody logs in unless a login is set up;
 * anywhere else the dashboard does not start without one.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { createSecureContext } from 'node:tls';
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify';
import { LandfallError } from '../../domain/errors.ts';
import type { Log } from '../../log.ts';
import type { AuditEntry } from '../../state/audit-stream.ts';
import { createSecretStore } from '../../state/secret-store.ts';
import type { State } from '../../state/state.ts';
import type { Session } from '../api/session.ts';
import { tokenOf } from './bearer-token.ts';
import { chooseLogin } from './choose-login.ts';
import { type Guard, guardRoutes } from './guard.ts';
import { isLoopbackName, nameOf } from './host-names.ts';
import { createLoginAttempts } from './login-attempts.ts';
import { registerLoginRoutes } from './login-routes.ts';
import { createOidcProvider } from './oidc-provider.ts';
import { registerOidcRoutes } from './oidc-routes.ts';
import { registerHeaders } from './page-headers.ts';
import { readSessionCookie } from './session-cookie.ts';
import { answered, createSessions, type Sessions } from './sessions.ts';
import type { AccessSettings } from './settings.ts';
import { createTokenBook, type TokenBook } from './token-book.ts';
import type { User } from './user.ts';

export type Access = {
  login: Session['login'];
  /** For Fastify's constructor: whose word about a request counts, and TLS. */
  serverOptions: Pick<FastifyServerOptions, 'trustProxy' | 'serverFactory'>;
  /** Guards all routes, also those that are there already, and adds those of the login. Before any other plugin. */
  register(fastify: FastifyInstance): Promise<void>;
  /** May whoever opened this long-lived answer still have it? Ask once a minute. Throws `redis-away`. */
  isStillIn(request: FastifyRequest): Promise<boolean>;
};

export type AccessOptions = {
  settings: AccessSettings;
  state: Pick<State, 'redis' | 'audit'>;
  log: Log;
  /** The name or address that it listens on. */
  listenHost: string;
  /** Who acts where nobody logs in. */
  localName: string;
  version: string;
};

/** Throws `usage` where the settings do not add up to a safe dashboard. */
export async function openAccess(options: AccessOptions): Promise<Access> {
  const { settings, state, log, listenHost, localName, version } = options;
  const login = await chooseLogin(settings, listenHost);
  const tokens = createTokenBook({ file: settings.tokensFile, log });
  const store = createSecretStore(state.redis);
  const sessions = createSessions({ store, tokens, hasOidc: settings.oidc !== null });
  const isAlwaysTls = settings.tls !== null || settings.url?.protocol === 'https:';
  const cookies = { isAlwaysTls };
  const ownOrigin = settings.url?.origin ?? null;
  const local: User = { name: localName, role: 'approver' };
  const findUser = async (request: FastifyRequest): Promise<User | null> =>
    login === 'none' ? local : findLoggedIn(request, { tokens, sessions, cookies });
  const names = [listenHost, ...settings.hosts, settings.url?.host ?? '']
    .map(nameOf)
    .filter((name) => name !== '');
  const guard: Omit<Guard, 'attempts'> = {
    login,
    hosts: { names, isLoopbackOnly: login === 'none' },
    ownOrigin,
    findUser,
  };
  if (login !== 'none' && !isAlwaysTls && settings.proxies.length === 0 && !isLoopbackName(listenHost))
    log(
      'warn',
      `The dashboard on ${listenHost} speaks plain HTTP: tokens and sessions can be read on the way. ${TLS_REMEDY}`,
    );

  return {
    login,
    serverOptions: {
      trustProxy: settings.proxies.length > 0 && [...settings.proxies],
      ...(await tlsOptions(settings)),
    },
    async isStillIn(request) {
      return (await findUser(request)) !== null;
    },
    async register(fastify) {
      await registerHeaders(fastify, { isTls: isAlwaysTls });
      await fastify.register(cookie);
      await fastify.register(rateLimit, { global: false });
      const attempts = createLoginAttempts(fastify);
      guardRoutes(fastify, { ...guard, attempts });
      const audit = (entry: AuditEntry): Promise<void> => answered(state.audit.append(entry));
      const desk = { login, version, tokens, sessions, cookies, attempts, audit };
      registerLoginRoutes(fastify, desk);
      if (settings.oidc !== null)
        registerOidcRoutes(fastify, {
          ...desk,
          provider: createOidcProvider(settings.oidc),
          store,
          ownOrigin,
        });
    },
  };
}

/** A program sends its token with each request; a browser has a session. */
async function findLoggedIn(
  request: FastifyRequest,
  { tokens, sessions, cookies }: { tokens: TokenBook; sessions: Sessions; cookies: { isAlwaysTls: boolean } },
): Promise<User | null> {
  const token = tokenOf(request);
  if (token !== null) {
    const entry = await tokens.find(token);
    return entry === null ? null : { name: entry.name, role: entry.role };
  }
  const secret = readSessionCookie(request, cookies);
  return secret === null ? null : sessions.find(secret);
}

async function tlsOptions({ tls }: AccessSettings): Promise<Pick<FastifyServerOptions, 'serverFactory'>> {
  if (tls === null) return {};
  const [cert, key] = await Promise.all([readPem(tls.certFile, 'CERT'), readPem(tls.keyFile, 'KEY')]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw notUsable(
      `The certificate ${tls.certFile} and the key ${tls.keyFile} cannot be used together: ${(error as Error).message}.`,
    );
  }
  return { serverFactory: (handler) => createServer({ cert, key }, handler) };
}

async function readPem(file: string, which: 'CERT' | 'KEY'): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw notUsable(`LANDFALL_DASHBOARD_${which} cannot be read: ${(error as Error).message}.`);
  }
}

function notUsable(message: string): LandfallError {
  return new LandfallError({ code: 'usage', message });
}

const TLS_REMEDY =
  'Set LANDFALL_DASHBOARD_CERT and LANDFALL_DASHBOARD_KEY, or put a proxy with TLS before it and set LANDFALL_DASHBOARD_URL.';
