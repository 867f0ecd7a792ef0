/**
 * What a virtual machine shows while it boots: blobs that Azure keeps, behind addresses that hold a signature.
 * https://learn.microsoft.com/azure/virtual-machines/boot-diagnostics
 */
import { AnonymousCredential, BlobClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { Azure } from './clients.ts';
import { type AzureCall, askUnless, saidBy, statusOf } from './errors.ts';
import { machineCall } from './machine-lookup.ts';
import { createRequestTimeout, type PipelinePolicy } from './request-timeout.ts';

export type BootDiagnostics = { consoleAddress: string | null; screenAddress: string | null };

type Settings = StoragePipelineOptions & {
  additionalPolicies: { policy: PipelinePolicy; position: 'perCall' | 'perRetry' }[];
};

/** Answers of a machine that has no console yet, or has it no more. */
const NOT_YET = ['ResourceNotFound', 'NotFound', 'OperationNotAllowed', 'Conflict', 'InternalError'];
const ADDRESS_MINUTES = 10;
const BLOB_TIMEOUT_MS = 30_000;
/** Two seconds in all: the next look is not far, and meanwhile one that waits keeps a worker. By itself the SDK takes 44 s. */
const BLOB_RETRIES = { maxTries: 3, retryDelayInMs: 500, maxRetryDelayInMs: 4_000 };

export async function findDiagnostics(
  azure: Azure,
  name: string,
  signal: AbortSignal,
): Promise<BootDiagnostics> {
  const action = 'retrieveBootDiagnosticsData/action';
  const call = machineCall(azure, { doing: 'Asking for console and screen', action, name });
  const found = await askUnless(NOT_YET, call, () =>
    azure.compute.virtualMachines.retrieveBootDiagnosticsData(azure.options.resourceGroup, name, {
      sasUriExpirationTimeInMinutes: ADDRESS_MINUTES,
      abortSignal: signal,
    }),
  );
  return {
    consoleAddress: found?.serialConsoleLogBlobUri ?? null,
    screenAddress: found?.consoleScreenshotBlobUri ?? null,
  };
}

/** Its last bytes, at most so many; null where there is none yet. */
export async function readBlobTail(
  address: string,
  { call, maxBytes, signal }: { call: AzureCall; maxBytes: number; signal: AbortSignal },
): Promise<Buffer | null> {
  const settings: Settings = {
    userAgentOptions: { userAgentPrefix: 'landfall' },
    retryOptions: BLOB_RETRIES,
    additionalPolicies: [{ policy: createRequestTimeout(BLOB_TIMEOUT_MS), position: 'perRetry' }],
  };
  const blob = new BlobClient(address, new AnonymousCredential(), settings);
  return askUnless(['BlobNotFound', 'NotFound', 'ResourceNotFound'], call, async () => {
    try {
      const { contentLength = 0 } = await blob.getProperties({ abortSignal: signal });
      if (contentLength === 0) return null;
      const offset = Math.max(0, contentLength - maxBytes);
      return await blob.downloadToBuffer(offset, contentLength - offset, { abortSignal: signal });
    } catch (error) {
      // The machine started anew in between, and its console with it.
      if (statusOf(error) === 416) return null;
      throw statusOf(error) === 403 ? addressRefused(call, error) : error;
    }
  });
}

/** An address knows no roles, and the next look gets another one. */
function addressRefused({ doing, action, resource }: AzureCall, error: unknown): LandfallError {
  return new LandfallError({
    code: 'target-denied',
    retryable: true,
    message: `${doing} (${action} on ${resource}) failed: ${saidBy(error)} The address that Azure gave a moment ago was refused: set this host's clock right, and see that no proxy changes requests to Azure's storage.`,
    context: { action, resource, status: 403 },
  });
}
