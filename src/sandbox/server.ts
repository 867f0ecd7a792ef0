/**
 * The sandbox cloud: look-alikes of S3, EC2, EBS direct, STS and IAM on one port of localhost, with their state in one folder.
 * Clients reach it through the SDKs' standard endpoint settings (`AWS_ENDPOINT_URL`).
 */
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { Acceleration } from '../boot/acceleration.ts';
import { openAccount } from './account.ts';
import { createDispatch } from './dispatch.ts';
import { answerEbsRefusal } from './ebs/refusals.ts';
import { createEbs } from './ebs/service.ts';
import type { Ec2Limits } from './ec2/cloud.ts';
import type { NetworkSeed } from './ec2/network-seed.ts';
import { createEc2 } from './ec2/service.ts';
import { createFaults, type Faults } from './faults.ts';
import { lockFolder } from './folder-lock.ts';
import { createFront, type Exchange, listen, type SandboxLog, SERVER_SETTINGS } from './front.ts';
import type { HttpAnswer } from './http.ts';
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
  const server = createServer(SERVER_SETTINGS);
  const front = createFront({ server, dispatch, internalError, stopping, log, now });
  owned.defer(front.stop);
  const url = `http://${await listen(server, options.port ?? 0)}`;

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
