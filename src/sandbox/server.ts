/**
 * The sandbox cloud: look-alikes of S3, EC2, EBS direct, STS and IAM on one port of localhost, with their state in one folder.
 * Clients reach it through the SDKs' standard endpoint settings (`AWS_ENDPOINT_URL`).
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Acceleration } from '../boot/acceleration.ts';
import { LandfallError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { LogLevel } from '../domain/ports.ts';
import { openAccount } from './account.ts';
import { createDispatch, type Dispatch, type Exchange } from './dispatch.ts';
import { answerEbsRefusal } from './ebs/refusals.ts';
import { createEbs } from './ebs/service.ts';
import type { Ec2Limits } from './ec2/cloud.ts';
import type { NetworkSeed } from './ec2/network-seed.ts';
import { createEc2 } from './ec2/service.ts';
import { createFaults, dropConnection, type Faults } from './faults.ts';
import { lockFolder } from './folder-lock.ts';
import { type HttpAnswer, type HttpRequest, readBody, writeAnswer } from './http.ts';
import { openIam } from './iam.ts';
import { answerQuery } from './query-protocol.ts';
import { Refusal } from './refusal.ts';
import { createRequestLog, type RequestLog } from './request-log.ts';
import { openS3 } from './s3/service.ts';
import { createSts } from './sts.ts';
import { writeXml } from './xml.ts';

export type SandboxOptions = {
  /** All state is here and survives a restart. Only one sandbox at a time may have it. */
  folder: string;
  /** On 127.0.0.1; 0, the default: a free one. */
  port?: number;
  log?: SandboxLog;
  /** How guests run; probed where it is left out. */
  acceleration?: Acceleration;
  /** EC2's home region, and the one whose key signs; kept with the folder. Default `eu-central-1`. */
  region?: string;
  accountId?: string;
  /** EC2's and EBS direct's quotas and times, for tests. */
  limits?: Partial<Ec2Limits>;
  /** The VPC, subnets and groups of a new account. */
  network?: NetworkSeed;
  faults?: Faults;
  /** Milliseconds since the epoch. */
  now?: () => number;
};

export type SandboxLog = (level: LogLevel, message: string, fields?: JsonObject) => void;

export type Sandbox = AsyncDisposable & {
  /** For example `http://127.0.0.1:4566`. */
  url: string;
  region: string;
  accountId: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** What the AWS SDKs and the `aws` command read to reach this sandbox. */
  environment: Readonly<Record<string, string>>;
  faults: Faults;
  requests: RequestLog;
  stop(): Promise<void>;
};

const HOST = '127.0.0.1';
/** Requests under way may end by themselves for so long when the sandbox stops. */
const STOP_GRACE_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;
const GONE = new Error('the client went away, or the sandbox stops');

/** Throws `conflict` where another sandbox has the folder or the port, `usage` where the folder is of another region. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { folder, now = Date.now, log = () => undefined } = options;
  await mkdir(folder, { recursive: true });
  await using owned = new AsyncDisposableStack();
  owned.use(await lockFolder(folder));
  const account = await openAccount({ folder, accountId: options.accountId, region: options.region });
  const stopping = new AbortController();
  const s3 = await openS3({ folder: join(folder, 's3'), account, now, stopping: stopping.signal });
  const iam = await openIam({ folder, account, now });
  const sts = createSts(account);
  const faults = options.faults ?? createFaults();
  const requests = createRequestLog();
  const ec2 = owned.use(
    await createEc2({
      folder: join(folder, 'ec2'),
      objects: s3.objects,
      roles: iam.roles,
      log,
      accountId: account.accountId,
      region: account.region,
      clock: { now },
      ...(options.network === undefined ? {} : { network: options.network }),
      ...(options.acceleration === undefined ? {} : { acceleration: options.acceleration }),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    }),
  );
  const ebs = createEbs({
    cloud: ec2.cloud,
    writes: ec2.writes,
    secret: account.secretAccessKey,
  });
  const dispatch = createDispatch({
    account,
    s3,
    ebs,
    faults,
    requests,
    now,
    query: {
      ec2: (params, context) => ec2.handle(params, context),
      sts: (params, context) => answerQuery({ service: 'sts', actions: sts, params, context }),
      iam: (params, context) => answerQuery({ service: 'iam', actions: iam.actions, params, context }),
    },
  });
  const front = createFront({ dispatch, stopping, log, now });
  owned.defer(front.stop);
  const url = await listen(front.server, options.port ?? 0);

  const resources = owned.move();
  const stop = (): Promise<void> => resources.disposeAsync();
  const { accessKeyId, secretAccessKey, region, accountId } = account;
  return {
    url,
    region,
    accountId,
    credentials: { accessKeyId, secretAccessKey },
    environment: {
      AWS_ENDPOINT_URL: url,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
    faults,
    requests,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

type Front = { server: Server; stop(): Promise<void> };
type FrontOptions = { dispatch: Dispatch; stopping: AbortController; log: SandboxLog; now: () => number };

function createFront({ dispatch, stopping, log, now }: FrontOptions): Front {
  const running = new Set<Promise<void>>();
  const live = new Set<() => void>();
  stopping.signal.addEventListener('abort', () => {
    for (const leave of live) leave();
  });
  // A part of 5 GiB on a slow line takes longer than any limit on the whole request.
  const settings = { requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true };
  const server = createServer(settings, (request, response) => {
    const work = serve({ request, response, dispatch, live, log, now });
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
  return { server, stop };
}

/** Never rejects. */
async function serve({
  request,
  response,
  dispatch,
  live,
  log,
  now,
}: {
  request: IncomingMessage;
  response: ServerResponse;
  dispatch: Dispatch;
  /** Ends what is under way when the sandbox stops. */
  live: Set<() => void>;
  log: SandboxLog;
  now: () => number;
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

/** Each service's SDK finds its code in this. */
function internalError({ http: { id }, service }: Exchange): HttpAnswer {
  if (service === 'ebs') {
    const message = 'An internal error has occurred.';
    return answerEbsRefusal(new Refusal({ status: 500, code: 'InternalServerException', message }));
  }
  const Code = 'InternalError';
  const Message = 'We encountered an internal error. Please try again.';
  const body = { Code, Message, RequestId: id, Errors: { Error: { Code, Message } }, RequestID: id };
  const text = writeXml({ root: 'Error', body, lists: 'flat' });
  return { status: 500, headers: { 'content-type': 'application/xml' }, body: { kind: 'text', text } };
}

async function listen(server: Server, port: number): Promise<string> {
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
  return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}

function explainListen(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return `${String(error)}. Give another port.`;
  return 'something listens there already. Stop it, or take a free port with `--port 0`.';
}
