/** A dashboard's access over real HTTP, with a few routes to guard, and a client that keeps cookies as a browser would. */
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { readConfig } from '../../../src/config.ts';
import { openAccess } from '../../../src/dashboard/access/access.ts';
import { addToken } from '../../../src/dashboard/access/token-file.ts';
import type { Role } from '../../../src/dashboard/api/session.ts';
import { answerProblems } from '../../../src/dashboard/problem.ts';
import type { AuditEntry } from '../../../src/state/audit-stream.ts';
import { openState } from '../../../src/state/state.ts';
import { startTestRedis } from '../../fakes/redis.ts';

export type Answer = { status: number; headers: IncomingHttpHeaders; text: string };

export type Asked = {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
};

export type Guarded = AsyncDisposable & {
  port: number;
  audited: AuditEntry[];
  logged: string[];
  ask(path: string, asked?: Asked): Promise<Answer>;
  /** Of whoever asked for `/api/stay` last: may they stay? */
  isStillIn(): Promise<boolean>;
  restart(): Promise<void>;
};

export type AccessGround = AsyncDisposable & {
  folder: string;
  tokensFile: string;
  redis: Awaited<ReturnType<typeof startTestRedis>>;
  addToken(name: string, role: Role): Promise<string>;
  /** `/free` is public, `/api/see` for viewers (it says nothing), `/api/do` for operators, `/api/bless` for approvers. */
  start(environment?: Record<string, string>, listenHost?: string): Promise<Guarded>;
};

export async function openAccessGround(): Promise<AccessGround> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'landfall-test-access-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const redis = stack.use(await startTestRedis());
  const tokensFile = join(folder, 'tokens.yaml');
  const owned = stack.move();
  return {
    folder,
    tokensFile,
    redis,
    addToken: (name, role) =>
      addToken(tokensFile, { name, role, expires: null, replaces: true, now: new Date() }),
    start: (environment = {}, listenHost = '127.0.0.1') =>
      startGuarded({ redisUrl: redis.url, folder, environment, listenHost }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function startGuarded(given: {
  redisUrl: string;
  folder: string;
  environment: Record<string, string>;
  listenHost: string;
}): Promise<Guarded> {
  const { redisUrl, folder, environment, listenHost } = given;
  const { access: settings } = readConfig({ LANDFALL_HOME: folder, ...environment }, folder);
  const audited: AuditEntry[] = [];
  const logged: string[] = [];
  let isStillIn = async (): Promise<boolean> => false;
  const open = async (port: number) => {
    const state = openState(redisUrl);
    const { append } = state.audit;
    state.audit.append = async (entry) => {
      await append(entry);
      audited.push(entry);
    };
    const access = await openAccess({
      settings,
      state,
      log: (_level, message) => void logged.push(message),
      listenHost,
      localName: 'me@here',
      version: '1.2.3',
    }).catch(async (error: unknown) => {
      await state[Symbol.asyncDispose]();
      throw error;
    });
    const server = Fastify({ ...access.serverOptions, forceCloseConnections: true });
    server.setValidatorCompiler(validatorCompiler);
    server.setSerializerCompiler(serializerCompiler);
    await access.register(server);
    answerProblems(server, (_level, message) => void logged.push(message));
    const isPublic = { config: { access: 'public' } } as const;
    server.get('/free', isPublic, async () => 'free');
    server.get('/api/stay', async (request) => {
      isStillIn = () => access.isStillIn(request);
      return {};
    });
    server.get('/api/see', async ({ user }) => user);
    server.post('/api/do', { config: { access: 'operator' } }, async ({ user }) => user);
    server.post('/api/bless', { config: { access: 'approver' } }, async ({ user }) => user);
    // Wherever it claims to listen: tests stay on this machine.
    await server.listen({ host: '127.0.0.1', port });
    return {
      port: (server.server.address() as AddressInfo).port,
      async [Symbol.asyncDispose]() {
        await server.close();
        await state[Symbol.asyncDispose]();
      },
    };
  };
  let opened = await open(0);
  return {
    port: opened.port,
    audited,
    logged,
    ask: (path, asked) => askHttp(opened.port, path, asked),
    isStillIn: () => isStillIn(),
    async restart() {
      await opened[Symbol.asyncDispose]();
      opened = await open(opened.port);
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** Not fetch: that one lets nobody set Host, Origin or Sec-Fetch-Site. */
export function askHttp(port: number, path: string, asked: Asked = {}): Promise<Answer> {
  const { method = 'GET', body, headers = {} } = asked;
  const content = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method, agent: false, headers: { ...content, ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        );
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** The cookies that an answer sets, as the browser sends them back; those that it clears are empty. */
export function cookiesOf({ headers }: Answer): string {
  return (headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]).join('; ');
}

/** Of the problem that an answer tells. */
export function codeOf({ text }: Answer): string {
  return (JSON.parse(text) as { error: { code: string } }).error.code;
}
