/** One listening server and its connections: requests become exchanges, answers are written, and it ends in good order. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { LogLevel } from '../domain/ports.ts';
import { dropConnection, type Fault, type FaultedService } from './faults.ts';
import { type HttpAnswer, type HttpRequest, readBody, writeAnswer } from './http.ts';

export type SandboxLog = (level: LogLevel, message: string, fields?: JsonObject) => void;

/** What the connection must know of a request under way. */
export type Exchange = {
  http: HttpRequest;
  /** Whose words an error must be in; set once it is known who is asked. */
  service: FaultedService | null;
  /** Set once it is known what is asked. */
  fault: Fault | null;
  /** Resets the connection. */
  drop(): void;
};

export type Dispatch = (exchange: Exchange) => Promise<HttpAnswer>;

export type FrontOptions = {
  /** Plain or over TLS, made with SERVER_SETTINGS. */
  server: Server | TlsServer;
  dispatch: Dispatch;
  /** In the words of the service that was asked. */
  internalError: (exchange: Exchange) => HttpAnswer;
  /** Aborted once the requests under way had their time. */
  stopping: AbortController;
  log: SandboxLog;
  /** Milliseconds since the epoch. */
  now: () => number;
};

export type Front = { stop(): Promise<void> };

const HOST = '127.0.0.1';
/** Requests under way may end by themselves for so long when the sandbox stops. */
const STOP_GRACE_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;
const GONE = new Error('the client went away, or the sandbox stops');

/** A part of 5 GiB on a slow line takes longer than any limit on the whole request. */
export const SERVER_SETTINGS: ServerOptions = {
  requestTimeout: 0,
  keepAliveTimeout: KEEP_ALIVE_MS,
  noDelay: true,
};

export function createFront(options: FrontOptions): Front {
  const { server, stopping } = options;
  const running = new Set<Promise<void>>();
  const live = new Set<() => void>();
  stopping.signal.addEventListener('abort', () => {
    for (const leave of live) leave();
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const work = serve({ request, response, live, options });
    running.add(work);
    void work.finally(() => running.delete(work));
  });
  const stop = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const timer = setTimeout(() => stopping.abort(), STOP_GRACE_MS);
    stopping.signal.addEventListener('abort', () => server.closeAllConnections());
    await Promise.allSettled(running);
    clearTimeout(timer);
    stopping.abort();
    await closed;
  };
  return { stop };
}

/** Gives the host and port. Throws `conflict` where the port is taken. */
export async function listen(server: Server | TlsServer, port: number): Promise<string> {
  try {
    server.listen(port, HOST);
    await once(server, 'listening');
  } catch (error) {
    throw new LandfallError({
      code: 'conflict',
      message: `Starting the sandbox at ${HOST}:${port} failed: ${explainListen(error)}`,
      cause: error,
    });
  }
  return `${HOST}:${(server.address() as AddressInfo).port}`;
}

function explainListen(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return `${String(error)}. Give another port.`;
  return 'something listens there already. Stop it, or take a free port with `--port 0`.';
}

/** Never rejects. */
async function serve({
  request,
  response,
  live,
  options: { dispatch, internalError, log, now },
}: {
  request: IncomingMessage;
  response: ServerResponse;
  /** Ends what is under way when the sandbox stops. */
  live: Set<() => void>;
  options: FrontOptions;
}): Promise<void> {
  // One controller a request: joining signals and an abort after each answer cost a tenth of a block's time.
  const gone = new AbortController();
  const leave = (): void => gone.abort(GONE);
  response.on('close', () => {
    if (!response.writableFinished) leave();
  });
  live.add(leave);
  const exchange: Exchange = {
    http: describe(request, {
      signal: gone.signal,
      body: readBody(request, () => exchange.fault),
    }),
    service: null,
    fault: null,
    drop: () => dropConnection(request),
  };
  const { http } = exchange;
  try {
    response.setHeader('Date', new Date(now()).toUTCString());
    const answer = await dispatch(exchange);
    if (exchange.fault?.dropAnswer === true) exchange.drop();
    else await writeAnswer({ response, answer, signal: http.signal });
  } catch (error) {
    if (http.signal.aborted || request.socket.destroyed) return;
    log('error', `The sandbox failed at ${request.method} ${http.rawPath}: ${String(error)}`, {
      id: http.id,
    });
    if (response.headersSent) dropConnection(request);
    else await writeAnswer({ response, answer: internalError(exchange), signal: http.signal });
  } finally {
    live.delete(leave);
    // What is left of a refused body is taken and dropped, or the client could not read why.
    request.resume();
  }
}

function describe(request: IncomingMessage, rest: Pick<HttpRequest, 'signal' | 'body'>): HttpRequest {
  const target = request.url ?? '/';
  const mark = target.indexOf('?');
  return {
    id: randomUUID(),
    method: request.method ?? 'GET',
    rawPath: mark < 0 ? target : target.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
    headers: request.headers,
    ...rest,
  };
}
