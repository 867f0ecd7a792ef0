/** The dashboard's server: one port for the page, its API, and what is live. */
import fastifySwagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { App } from '../app.ts';
import { LandfallError } from '../domain/errors.ts';
import type { Log } from '../log.ts';
import { type BoardQueues, openBoardQueues } from '../queue/board-queues.ts';
import type { Access } from './access/access.ts';
import { type Desk, openDesk } from './desk.ts';
import type { ListenAddress } from './listen-address.ts';
import { registerMetrics } from './metrics/routes.ts';
import { servePage } from './page-files.ts';
import { answerProblems } from './problem.ts';
import { registerQueueBoard } from './queue-board.ts';
import { actionRoutes } from './routes/action-routes.ts';
import { auditRoutes } from './routes/audit-routes.ts';
import { healthRoutes } from './routes/health-routes.ts';
import { liveRoutes } from './routes/live-routes.ts';
import { machineRoutes } from './routes/machine-routes.ts';
import { runRoutes } from './routes/run-routes.ts';
import { workerRoutes } from './routes/worker-routes.ts';

export type DashboardOptions = {
  app: App;
  access: Access;
  listen: ListenAddress;
  log: Log;
  version: string;
  /** What Vite built; left out: where the build puts it. */
  pageFolder?: string;
};

export type Dashboard = AsyncDisposable & { url: string };

/** A selection of 10,000 machines by name. */
const MAX_BODY_BYTES = 2 * 1024 ** 2;
/** To send a request, not to be answered: strangers could hold theirs open for ever. */
const REQUEST_MS = 60_000;

/** Throws `conflict` where its port is taken. */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { app, access, listen, log } = options;
  await using stack = new AsyncDisposableStack();
  const desk = stack.use(await openDesk({ app, log }));
  const boardQueues = stack.use(openBoardQueues(app.state.url));
  const server = Fastify({
    ...access.serverOptions,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_MS,
    routerOptions: { maxParamLength: 1_000 },
    // What is open for long ends by its hub; the rest is cut off.
    forceCloseConnections: true,
  });
  stack.defer(() => server.close());
  await addRoutes(server, { ...options, desk, boardQueues });
  const url = await startListening(server, listen);
  // Before the server waits for its connections to end.
  stack.defer(() => desk.hub.close());
  const owned = stack.move();
  return { url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function addRoutes(
  server: FastifyInstance,
  {
    desk,
    boardQueues,
    access,
    log,
    version,
    pageFolder,
  }: DashboardOptions & { desk: Desk; boardQueues: BoardQueues },
): Promise<void> {
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  answerProblems(server, log);
  await server.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Landfall', description: 'What the dashboard shows and does.', version },
    },
    transform: jsonSchemaTransform,
  });
  await access.register(server);
  for (const routes of [healthRoutes, runRoutes, machineRoutes, workerRoutes, auditRoutes, actionRoutes])
    await server.register(routes, { desk });
  await server.register(liveRoutes, { desk, access });
  registerMetrics(server, desk.app);
  await registerQueueBoard(server, { ...desk.app, boardQueues });
  server.get('/api/openapi.json', { schema: { hide: true } }, async () => server.swagger());
  await servePage(server, pageFolder);
}

async function startListening(server: FastifyInstance, { host, port }: ListenAddress): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new LandfallError({
      code: code === 'EADDRINUSE' ? 'conflict' : 'usage',
      message:
        code === 'EADDRINUSE'
          ? `The dashboard cannot listen on ${host}:${port}: something else does already, maybe another dashboard. Stop it, or give another address: \`--listen ${host}:${port + 1}\`.`
          : `The dashboard cannot listen on ${host}:${port} (${message}). Give an address of this host: \`--listen 127.0.0.1:8470\`.`,
      cause: error,
    });
  }
}
