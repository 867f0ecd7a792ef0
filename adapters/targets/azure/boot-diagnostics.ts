/**
 * What a virtual machine shows while it boots: blobs that Azure keeps, behind addresses that hold a signature.
 * https://learn.microsoft.com/azure/virtual-machines/boot-diagnostics
 */
import { AnonymousCredential, BlobClient, type StoragePipelineOptions } from '@azure/storage-blob';
import type { Azure } from './clients.ts';
import { type AzureCall, askUnless, statusOf } from './errors.ts';
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
    additionalPolicies: [{ policy: createRequestTimeout(BLOB_TIMEOUT_MS), position: 'perRetry' }],
  };
  const blob = new BlobClient(address, new AnonymousCredential(), settings);
  return askUnless(['BlobNotFound', 'NotFound', 'ResourceNotFound'], call, async () => {
    const { contentLength = 0 } = await blob.getProperties({ abortSignal: signal });
    if (contentLength === 0) return null;
    const offset = Math.max(0, contentLength - maxBytes);
    try {
      return await blob.downloadToBuffer(offset, contentLength - offset, { abortSignal: signal });
    } catch (error) {
      // The machine started anew in between, and its console with it.
      if (statusOf(error) === 416) return null;
      throw error;
    }
  });
}
