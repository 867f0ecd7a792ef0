/**
 * Sends each request to its service. One port serves all: the signature's scope names the service. In order: what is
 * asked, what fault stands in its way, who asks, the work.
 */
import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Account } from './account.ts';
import { authenticate, refuseAccess } from './authentication.ts';
import type { ChunkSigning } from './aws-chunked.ts';
import { type EbsBody, readEbsBody } from './ebs/block-body.ts';
import { answerEbsRefusal } from './ebs/refusals.ts';
import type { Ebs } from './ebs/service.ts';
import type { AwsService, Faults } from './faults.ts';
import type { Dispatch, Exchange } from './front.ts';
import { collectBody, type HttpAnswer, type HttpRequest } from './http.ts';
import { type QueryContext, type QueryResponse, type QueryService, writeRefusal } from './query-protocol.ts';
import { Refusal } from './refusal.ts';
import type { LoggedRequest, WritableRequestLog } from './request-log.ts';
import { answerRefusal, hostId } from './s3/answers.ts';
import type { S3, S3Call } from './s3/service.ts';
import { readSignature, type Signature, scopeText, signingKey } from './sigv4.ts';

export type QueryEndpoint = (params: URLSearchParams, context: QueryContext) => Promise<QueryResponse>;

export type DispatchOptions = {
  account: Account;
  s3: S3;
  ebs: Ebs;
  query: Readonly<Record<QueryService, QueryEndpoint>>;
  faults: Faults;
  requests: WritableRequestLog;
  /** Milliseconds since the epoch. */
  now: () => number;
};

const MAX_FORM_BYTES = 1024 * 1024;
const UNSIGNED = 'UNSIGNED-PAYLOAD';
const FORM = 'application/x-www-form-urlencoded';

export function createDispatch(options: DispatchOptions): Dispatch {
  return async (exchange) => {
    const { http } = exchange;
    const reading = readSignature(http);
    const service = reading.kind === 'signed' ? reading.signature.scope.service : guessService(http);
    if (service === 's3') return answerS3({ options, exchange });
    if (service === 'ebs') {
      exchange.service = service;
      return answerEbs({ options, exchange });
    }
    if (service === 'ec2' || service === 'sts' || service === 'iam') {
      return answerQueryService({ options, exchange, service });
    }
    const message = `The sandbox has no service named ${service}.`;
    return answerRefusal(new Refusal({ status: 501, code: 'NotImplemented', message }), http);
  };
}

/** An unsigned form is taken for a query service's, anything else for S3's. */
function guessService({ headers }: HttpRequest): AwsService {
  return headers['content-type']?.startsWith(FORM) === true ? 'sts' : 's3';
}

async function answerS3({
  options,
  exchange,
}: {
  options: DispatchOptions;
  exchange: Exchange;
}): Promise<HttpAnswer> {
  const { http } = exchange;
  const { account, s3, requests } = options;
  const headers = { 'x-amz-request-id': http.id, 'x-amz-id-2': hostId(http.id), server: 'AmazonS3' };
  try {
    const call = s3.understand(http);
    const logged: LoggedRequest = { service: 's3', action: call.route.action, part: partOf(call, http) };
    requests.arrive(logged);
    await meetFault({ options, exchange, logged });
    const signature = requireSignature('s3', http);
    const payloadHash = readPayloadHash(http, signature);
    authenticate({ request: http, signature, payloadHash, service: 's3', account, now: options.now() });
    const signing = chunkSigning(signature, account);
    const answer = await s3.answer(call, { http, region: signature.scope.region, signing });
    requests.succeed(logged);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const answer = answerRefusal(error, http);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  }
}

async function answerEbs({
  options,
  exchange,
}: {
  options: DispatchOptions;
  exchange: Exchange;
}): Promise<HttpAnswer> {
  const { http } = exchange;
  const { ebs, requests } = options;
  const headers = { 'x-amzn-requestid': http.id };
  try {
    const call = ebs.understand(http);
    const { action, snapshotId, blockIndex } = call;
    const block =
      action === 'PutSnapshotBlock' && blockIndex !== null ? { snapshotId, index: blockIndex } : null;
    const logged: LoggedRequest = { service: 'ebs', action, part: null, block };
    requests.arrive(logged);
    await meetFault({ options, exchange, logged });
    ebs.admit(call);
    const body = await takeSignedBody({ options, http, mayBeUnsigned: block !== null });
    const answer = await ebs.answer(call, { http, body });
    requests.succeed(logged);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const answer = answerEbsRefusal(error);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  }
}

/**
 * Clients say in a header what their signature covers, the body's hash or that it covers none; those that do not say it
 * signed the hash or, for blocks, `UNSIGNED-PAYLOAD`: the checksum, which is signed, speaks for the block.
 */
async function takeSignedBody({
  options: { account, now },
  http,
  mayBeUnsigned,
}: {
  options: DispatchOptions;
  http: HttpRequest;
  mayBeUnsigned: boolean;
}): Promise<EbsBody> {
  const signature = requireSignature('ebs', http);
  const check = (payloadHash: string): void =>
    authenticate({ request: http, signature, payloadHash, service: 'ebs', account, now: now() });
  const said = http.headers['x-amz-content-sha256'];
  if (typeof said === 'string') check(said);
  const body = await readEbsBody(http.body);
  const hash = body.sha256.toString('hex');
  if (said === undefined) {
    try {
      check(hash);
    } catch (error) {
      if (!mayBeUnsigned || !(error instanceof Refusal)) throw error;
      check(UNSIGNED);
    }
  } else if (said !== hash && !(mayBeUnsigned && said === UNSIGNED)) {
    throw refuseAccess('ebs', { kind: 'wrong-signature' });
  }
  return body;
}

async function answerQueryService({
  options,
  exchange,
  service,
}: {
  options: DispatchOptions;
  exchange: Exchange;
  service: QueryService;
}): Promise<HttpAnswer> {
  const { http } = exchange;
  const { account, requests } = options;
  let response: QueryResponse;
  try {
    const body = await collectBody(http.body, MAX_FORM_BYTES);
    const params = new URLSearchParams(http.method === 'GET' ? http.query : body.toString('utf8'));
    const logged: LoggedRequest = { service, action: params.get('Action') ?? '', part: null };
    requests.arrive(logged);
    await meetFault({ options, exchange, logged });
    const signature = requireSignature(service, http);
    const payloadHash = createHash('sha256').update(body).digest('hex');
    authenticate({ request: http, signature, payloadHash, service, account, now: options.now() });
    const { accessKeyId, accountId, region } = account;
    const context = { requestId: http.id, accessKeyId, accountId, region, signal: http.signal };
    response = await options.query[service](params, context);
    if (response.status < 400) requests.succeed(logged);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    response = writeRefusal({ service, refusal: error, requestId: http.id });
  }
  return {
    status: response.status,
    headers: { 'content-type': 'text/xml;charset=UTF-8', 'x-amzn-requestid': http.id },
    body: { kind: 'text', text: response.xml },
  };
}

/** Waits, cuts the connection or throws the error, as an injected fault says. */
async function meetFault({
  options,
  exchange,
  logged,
}: {
  options: DispatchOptions;
  exchange: Exchange;
  logged: LoggedRequest;
}): Promise<void> {
  const { service, action, part } = logged;
  const fault = options.faults.take({ service, action, partNumber: part?.number ?? null });
  if (fault === null) return;
  exchange.fault = fault;
  if (fault.delayMs !== undefined) await wait(fault.delayMs, undefined, { signal: exchange.http.signal });
  // A form is read whole before it is known what it asks: any cut comes now.
  const isForm = service !== 's3' && service !== 'ebs';
  if (fault.dropAfterBytes === 0 || (isForm && fault.dropAfterBytes !== undefined)) {
    exchange.drop();
    throw new Error('connection reset by an injected fault');
  }
  if (fault.error === undefined) return;
  const { status, code, message = 'This answer was injected for a test.', reason } = fault.error;
  throw new Refusal({
    status,
    code,
    message,
    ...(reason === undefined ? {} : { fields: { Reason: reason } }),
  });
}

function requireSignature(service: AwsService, http: HttpRequest): Signature {
  const reading = readSignature(http);
  switch (reading.kind) {
    case 'signed':
      return reading.signature;
    case 'absent':
      throw refuseAccess(service, { kind: 'unsigned' });
    case 'malformed':
      throw refuseAccess(service, { kind: 'malformed' });
    default:
      return reading satisfies never;
  }
}

/** What stands for the body's hash in an S3 signature: the header tells, and presigned URLs sign no body. */
function readPayloadHash({ headers }: HttpRequest, { place }: Signature): string {
  const header = headers['x-amz-content-sha256'];
  if (typeof header === 'string') return header;
  if (place === 'query') return UNSIGNED;
  const message = 'Missing required header for this request: x-amz-content-sha256';
  throw new Refusal({ status: 400, code: 'InvalidRequest', message });
}

function chunkSigning(signature: Signature, { secretAccessKey }: Account): ChunkSigning | null {
  if (signature.place === 'query') return null;
  const { scope, time, value } = signature;
  return { key: signingKey(scope, secretAccessKey), time, scope: scopeText(scope), seed: value };
}

function partOf({ route, address }: S3Call, { query }: HttpRequest): LoggedRequest['part'] {
  if (route.action !== 'UploadPart' || address.level !== 'object') return null;
  return { bucket: address.bucket, key: address.key, number: Number(query.get('partNumber')) };
}
