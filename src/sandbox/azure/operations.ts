/**
 * Long-running operations: accepted at once, worked on in the background, and polled at the addresses that the answer's
 * headers give: Azure-AsyncOperation for the status, Location for what the operation gives.
 * https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { JsonObject } from '../../domain/json.ts';
import type { HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';
import { type ArmCall, answerArmJson } from './arm-call.ts';
import type { AzureCloud } from './cloud.ts';
import { describeError, refuse } from './refusals.ts';
import type { OperationRecord } from './state.ts';

export type OperationKind = 'disk' | 'compute' | 'network';

export type Accepted = {
  call: ArmCall;
  kind: OperationKind;
  /** 202, or 201 and 200 with the resource in the body. */
  status: 200 | 201 | 202;
  body?: JsonObject;
  /** Gives what is found at Location. Throws a Refusal, which the operation then ends with. */
  work: (signal: AbortSignal) => Promise<JsonObject | null>;
  /** What is left to do where the operation fails. */
  onFailure?: () => Promise<void>;
};

export type Operations = AsyncDisposable & {
  accept(accepted: Accepted): Promise<HttpAnswer>;
  /** The answer at Azure-AsyncOperation. */
  status(id: string): HttpAnswer;
  /** The answer at Location. */
  result(call: ArmCall, id: string): HttpAnswer;
};

/** The oldest are forgotten beyond this. */
const MAX_KEPT = 1_000;
const PLACES: Readonly<Record<OperationKind, readonly [provider: string, type: string]>> = {
  disk: ['Microsoft.Compute', 'DiskOperations'],
  compute: ['Microsoft.Compute', 'operations'],
  network: ['Microsoft.Network', 'operations'],
};

/** Operations that a killed sandbox left are ended as failed: whoever asked asks again. */
export async function openOperations(cloud: AzureCloud): Promise<Operations> {
  const { store, limits, now, log } = cloud;
  const closing = new AbortController();
  const running = new Set<Promise<void>>();
  await store.update((state) => {
    for (const operation of Object.values(state.operations)) {
      if (operation.status === 'InProgress') Object.assign(operation, endFailed(interrupted(), now()));
    }
  });
  const settle = (id: string, change: Partial<OperationRecord>): Promise<void> =>
    store.update((state) => {
      const operation = state.operations[id];
      if (operation !== undefined) Object.assign(operation, change);
    });
  const run = async (id: string, { call, work, onFailure }: Accepted): Promise<void> => {
    try {
      await wait(limits.operationMs, undefined, { signal: closing.signal });
      if (call.lateError !== null) throw call.lateError;
      const output = await work(closing.signal);
      await settle(id, { status: 'Succeeded', endedAt: now(), output });
    } catch (error) {
      // The next sandbox ends what this one could not.
      if (closing.signal.aborted) return;
      if (!(error instanceof Refusal))
        log('error', `${call.action} failed: ${String(error)}`, { operation: id });
      await onFailure?.();
      await settle(id, endFailed(error instanceof Refusal ? error : internal(error), now()));
    }
  };
  return {
    async accept(accepted) {
      const id = randomUUID();
      const record: OperationRecord = {
        id,
        status: 'InProgress',
        startedAt: now(),
        endedAt: null,
        output: null,
        error: null,
      };
      await store.update((state) => {
        state.operations[id] = record;
        const [oldest] = Object.keys(state.operations);
        if (Object.keys(state.operations).length > MAX_KEPT && oldest !== undefined)
          delete state.operations[oldest];
      });
      const work = run(id, accepted);
      running.add(work);
      void work.finally(() => running.delete(work));
      const { kind, status, body, call } = accepted;
      const headers = pollHeaders(cloud, { id, kind, apiVersion: call.apiVersion });
      const answer = body === undefined ? null : answerArmJson(status, body);
      return {
        status,
        headers: { ...answer?.headers, ...headers },
        body: answer?.body ?? { kind: 'empty' },
      };
    },
    status(id) {
      const operation = requireOperation(store.read().operations, id);
      const { status, startedAt, endedAt, output, error } = operation;
      const body: JsonObject = {
        name: id,
        status,
        startTime: new Date(startedAt).toISOString(),
        ...(endedAt === null ? {} : { endTime: new Date(endedAt).toISOString() }),
        ...(output === null ? {} : { properties: { output } }),
        ...(error === null ? {} : { error: error.body }),
      };
      const answer = answerArmJson(200, body);
      return { ...answer, headers: { ...answer.headers, ...retryHeader(limits.retryAfterSeconds, status) } };
    },
    result(call, id) {
      const { status, output, error } = requireOperation(store.read().operations, id);
      if (error !== null) return answerArmJson(error.status, { error: error.body });
      if (status === 'Succeeded') {
        return output === null
          ? { status: 200, headers: {}, body: { kind: 'empty' } }
          : answerArmJson(200, output);
      }
      const location = `${cloud.url()}${call.http.rawPath}?${call.http.query.toString()}`;
      const headers = { location, ...retryHeader(limits.retryAfterSeconds, status) };
      return { status: 202, headers, body: { kind: 'empty' } };
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the sandbox is ending'));
      await Promise.allSettled(running);
    },
  };
}

function pollHeaders(
  { url, account, location, limits }: AzureCloud,
  { id, kind, apiVersion }: { id: string; kind: OperationKind; apiVersion: string },
): Record<string, string> {
  const [provider, type] = PLACES[kind];
  const base = `${url()}/subscriptions/${account.subscriptionId}/providers/${provider}/locations/${location}`;
  return {
    'azure-asyncoperation': `${base}/${type}/${id}?api-version=${apiVersion}`,
    location: `${base}/${type}/${id}?monitor=true&api-version=${apiVersion}`,
    ...retryHeader(limits.retryAfterSeconds, 'InProgress'),
  };
}

function retryHeader(seconds: number | null, status: OperationRecord['status']): Record<string, string> {
  return seconds === null || status !== 'InProgress' ? {} : { 'retry-after': String(seconds) };
}

function requireOperation(
  operations: Readonly<Record<string, OperationRecord>>,
  id: string,
): OperationRecord {
  const operation = Object.hasOwn(operations, id) ? operations[id] : undefined;
  if (operation === undefined) throw refuse(404, 'NotFound', `The entity was not found: operation '${id}'.`);
  return operation;
}

function endFailed(refusal: Refusal, endedAt: number): Partial<OperationRecord> {
  return { status: 'Failed', endedAt, error: { status: refusal.status, body: describeError(refusal) } };
}

function interrupted(): Refusal {
  const message = 'The sandbox ended while it worked on this operation. Ask again.';
  return refuse(500, 'InternalExecutionError', message);
}

function internal(error: unknown): Refusal {
  const detail = error instanceof Error ? error.message : String(error);
  return refuse(500, 'InternalExecutionError', `An internal execution error occurred. ${detail}`);
}
