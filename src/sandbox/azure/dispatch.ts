/**
 * Sends each request to whom it is for: Resource Manager by its address, else the blobs of disks and of boot diagnostics.
 * In order: what is asked, what fault stands in its way, who asks, what they may do, the work.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Fault, Faults } from '../faults.ts';
import type { Dispatch, Exchange } from '../front.ts';
import { collectBody, type HttpAnswer, type HttpRequest } from '../http.ts';
import { Refusal } from '../refusal.ts';
import type { LoggedRequest, WritableRequestLog } from '../request-log.ts';
import type { ArmCall } from './arm-call.ts';
import { answerDiagnosticsCall, readDiagnosticsCall } from './boot-diagnostics.ts';
import { requireGroup } from './catalogue.ts';
import type { AzureDesk } from './cloud.ts';
import { answerIdentityRefusal, type Identity } from './identity.ts';
import { answerPageCall, findHolder, readPageCall } from './page-blobs.ts';
import { answerArmRefusal, answerBlobRefusal, refuse } from './refusals.ts';
import { findRoute, type RoutedCall } from './routes.ts';

export type AzureDispatchOptions = {
  desk: AzureDesk;
  identity: Identity;
  faults: Faults;
  requests: WritableRequestLog;
};

const MAX_JSON_BYTES = 4 * 1024 * 1024;

export function createAzureDispatch(options: AzureDispatchOptions): Dispatch {
  return async (exchange) => {
    const { http } = exchange;
    const isResourceManager = /^\/(subscriptions|providers)(\/|$)/i.test(http.rawPath);
    return isResourceManager ? answerArm(options, exchange) : answerBlobs(options, exchange);
  };
}

/** The identity endpoint, which is not behind TLS. */
export function createIdentityDispatch({ identity, faults, requests }: AzureDispatchOptions): Dispatch {
  return async (exchange) => {
    exchange.service = 'identity';
    const logged: LoggedRequest = { service: 'identity', action: 'GetToken', part: null };
    try {
      requests.arrive(logged);
      await meetFault({ faults, exchange, logged });
      const answer = identity.answer(exchange.http);
      requests.succeed(logged);
      return answer;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return answerIdentityRefusal(error);
    }
  };
}

export function answerInternalError({ service, http }: Exchange): HttpAnswer {
  const message = 'An internal error has occurred.';
  const refusal = new Refusal({ status: 500, code: 'InternalError', message });
  return service === 'blob' ? answerBlobRefusal(refusal, http) : answerArmRefusal(refusal);
}

async function answerArm(options: AzureDispatchOptions, exchange: Exchange): Promise<HttpAnswer> {
  const { desk, identity, faults, requests } = options;
  const { http } = exchange;
  exchange.service = 'arm';
  const headers = {
    'x-ms-request-id': http.id,
    'x-ms-correlation-request-id': http.id,
    'cache-control': 'no-cache',
  };
  try {
    const routed = findRoute(http);
    const logged: LoggedRequest = { service: 'arm', action: routed?.route.action ?? '', part: null };
    requests.arrive(logged);
    const lateError = await meetFault({ faults, exchange, logged });
    identity.authenticate(http);
    if (routed === null) throw unknownRoute(http);
    const call = await readCall({ desk, http, routed, lateError });
    const answer = await routed.route.answer(desk, call);
    if (answer.status < 400) requests.succeed(logged);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const answer = answerArmRefusal(error);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  }
}

/** Throws a Refusal where the request is not sound, or its sender may not. */
async function readCall({
  desk,
  http,
  routed: { route, parameters, id },
  lateError,
}: {
  desk: AzureDesk;
  http: HttpRequest;
  routed: RoutedCall;
  lateError: Refusal | null;
}): Promise<ArmCall> {
  const apiVersion = http.query.get('api-version');
  if (apiVersion === null) {
    const message = 'The api-version query parameter (?api-version=) is required for all requests.';
    throw refuse(400, 'MissingApiVersionParameter', message);
  }
  if (!/^\d{4}-\d{2}-\d{2}(-preview)?$/.test(apiVersion)) {
    throw refuse(400, 'InvalidApiVersionParameter', `The api-version '${apiVersion}' is invalid.`);
  }
  const unknown = [...http.query.keys()].find(
    (name) => name !== 'api-version' && !route.query?.includes(name),
  );
  if (unknown !== undefined)
    throw refuse(400, 'InvalidRequest', `The query parameter '${unknown}' is not known.`);
  const { subscriptionId } = desk.account;
  if (parameters.subscription?.toLowerCase() !== subscriptionId) {
    throw refuse(
      404,
      'SubscriptionNotFound',
      `The subscription '${parameters.subscription}' could not be found.`,
    );
  }
  if (route.right !== null) desk.rights.require(route.right, id);
  if (parameters.group !== undefined && route.method !== 'HEAD') {
    requireGroup(desk.store.read().groups, subscriptionId, parameters.group);
  }
  const body = parseJson(await collectBody(http.body, MAX_JSON_BYTES));
  return { http, action: route.action, parameters, id, apiVersion, body, lateError };
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw refuse(
      400,
      'InvalidRequestContent',
      'The request content was invalid and could not be deserialized.',
    );
  }
}

async function answerBlobs(options: AzureDispatchOptions, exchange: Exchange): Promise<HttpAnswer> {
  const { desk, faults, requests } = options;
  const { http } = exchange;
  exchange.service = 'blob';
  const headers = { 'x-ms-request-id': http.id, server: 'Windows-Azure-Blob/1.0' };
  try {
    const pageCall = readPageCall(http);
    const diagnostics = pageCall === null ? readDiagnosticsCall(http) : null;
    const logged: LoggedRequest = {
      service: 'blob',
      action: pageCall?.action ?? diagnostics?.action ?? '',
      part: null,
      pages: null,
    };
    if (pageCall?.action === 'PutPage' || pageCall?.action === 'ClearPage') {
      const diskName = findHolder(desk, pageCall.uniqueId)?.name ?? '';
      const isClear = pageCall.action === 'ClearPage';
      const { offsetBytes = -1, lengthBytes = 0 } = pageCall.range ?? {};
      logged.pages = { diskName, offsetBytes, lengthBytes, isClear };
    }
    requests.arrive(logged);
    await meetFault({ faults, exchange, logged });
    const answer =
      pageCall !== null
        ? await answerPageCall(desk, pageCall, http)
        : diagnostics !== null
          ? await answerDiagnosticsCall(desk, diagnostics, http)
          : null;
    if (answer === null) {
      throw new Refusal({
        status: 404,
        code: 'ResourceNotFound',
        message: 'The specified resource does not exist.',
      });
    }
    if (answer.status < 400) requests.succeed(logged);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const answer = answerBlobRefusal(error, http);
    return { ...answer, headers: { ...headers, ...answer.headers } };
  }
}

/** Waits, cuts the connection or throws the error, as an injected fault says; gives the one that is to come later. */
async function meetFault({
  faults,
  exchange,
  logged: { service, action, pages },
}: {
  faults: Faults;
  exchange: Exchange;
  logged: LoggedRequest;
}): Promise<Refusal | null> {
  const fault = faults.take({ service, action, partNumber: null, offsetBytes: pages?.offsetBytes ?? null });
  if (fault === null) return null;
  exchange.fault = fault;
  if (fault.delayMs !== undefined) await wait(fault.delayMs, undefined, { signal: exchange.http.signal });
  if (fault.dropAfterBytes === 0) {
    exchange.drop();
    throw new Error('connection reset by an injected fault');
  }
  const refusal = refusalOf(fault);
  if (refusal === null || fault.error?.isLate === true) return refusal;
  throw refusal;
}

function refusalOf({ error }: Fault): Refusal | null {
  if (error === undefined) return null;
  const { status, code, message = 'This answer was injected for a test.', retryAfterSeconds } = error;
  return refuse(status, code, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}

function unknownRoute({ method, rawPath }: HttpRequest): Refusal {
  return refuse(404, 'NoRegisteredProviderFound', `The sandbox has nothing at ${method} ${rawPath}.`);
}
