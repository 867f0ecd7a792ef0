/** The SDK's client of one disk's pages, at an address that holds its signature. */

import { AnonymousCredential, PageBlobClient, type StoragePipelineOptions } from '@azure/storage-blob';
import { createPageRetries } from './page-retry.ts';
import type { PipelinePolicy } from './request-timeout.ts';

type Settings = StoragePipelineOptions & {
  additionalPolicies: { policy: PipelinePolicy; position: 'perCall' | 'perRetry' }[];
};

export function openPages(address: string, { onThrottled }: { onThrottled: () => void }): PageBlobClient {
  const settings: Settings = {
    userAgentOptions: { userAgentPrefix: 'landfall' },
    retryOptions: { maxTries: 1 },
    additionalPolicies: [{ policy: createPageRetries(onThrottled), position: 'perCall' }],
  };
  return new PageBlobClient(address, new AnonymousCredential(), settings);
}
