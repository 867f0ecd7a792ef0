/**
 * Ends a request that was not answered in time, as a failure that is tried again. By itself the SDK's client waits without
 * end, and tells a request whose time ran out as if its caller had cancelled it.
 */
import type { ComputeManagementClient } from '@azure/arm-compute';
import { RestError } from '@azure/storage-blob';

/** A step of the SDK's pipelines, of Resource Manager's clients and of storage's alike. */
export type PipelinePolicy = Parameters<ComputeManagementClient['pipeline']['addPolicy']>[0];
export type PipelineRequest = Parameters<PipelinePolicy['sendRequest']>[0];
type SendRequest = Parameters<PipelinePolicy['sendRequest']>[1];
type PipelineResponse = Awaited<ReturnType<SendRequest>>;

/** Goes inside of the SDK's retries. */
export function createRequestTimeout(timeoutMs: number): PipelinePolicy {
  return {
    name: 'requestTimeout',
    sendRequest: (request, next) => sendInTime(request, { next, timeoutMs }),
  };
}

export async function sendInTime(
  request: PipelineRequest,
  { next, timeoutMs }: { next: SendRequest; timeoutMs: number },
): Promise<PipelineResponse> {
  request.timeout = timeoutMs;
  try {
    return await next(request);
  } catch (error) {
    if ((error as Error).name !== 'AbortError' || request.abortSignal?.aborted === true) throw error;
    throw new RestError(`no answer came within ${timeoutMs} ms`, { code: 'ETIMEDOUT', request });
  }
}
