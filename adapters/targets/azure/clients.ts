/**
 * The SDK's clients of one subscription. Credentials come by the SDK's own chain (environment, workload and managed
 * identity, `az login`), the cloud by `endpoint` or, for the national clouds, by `AZURE_AUTHORITY_HOST`, which the chain
 * reads too. The SDK retries; nothing of ours retries a request a second time (of pages, the SDK's pipeline with a
 * strategy of ours).
 */
import { ComputeManagementClient } from '@azure/arm-compute';
import { NetworkManagementClient } from '@azure/arm-network';
import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';
import type { AzureOptions } from './options.ts';
import { createRequestTimeout } from './request-timeout.ts';

export type Azure = {
  options: AzureOptions;
  compute: ComputeManagementClient;
  network: NetworkManagementClient;
  credential: TokenCredential;
  /** Of Resource Manager, without a slash at its end. */
  endpoint: string;
  /** For requests to Resource Manager that have no client of their own. */
  scopes: string[];
  /** Passed to every long-running operation. */
  polling: { updateIntervalInMs: number };
};

/** Answers of the control plane are short; 60 s without one, which Azure's own gateway waits too, means that it is lost. */
const CONTROL_TIMEOUT_MS = 60_000;
/**
 * Five attempts with the SDK's exponential delays of 0.5 s × 2^n bridge about 7 s; `Retry-After` is waited for however
 * long it is. Longer outages are the record's to retry.
 */
const RETRIES = { maxRetries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 };
/** Azure says its own interval in `Retry-After`, which comes first. */
const POLL_INTERVAL_MS = 250;

const PUBLIC_ENDPOINT = 'https://management.azure.com';
/** https://learn.microsoft.com/azure/developer/identity/national-cloud */
const NATIONAL_CLOUDS = [
  {
    authority: /(^|\.)chinacloudapi\.cn$/,
    endpoint: 'https://management.chinacloudapi.cn',
  },
  {
    authority: /(^|\.)microsoftonline\.us$/,
    endpoint: 'https://management.usgovcloudapi.net',
  },
];

export function createAzure(options: AzureOptions): Azure {
  const credential = new DefaultAzureCredential();
  const cloud = cloudOf(process.env.AZURE_AUTHORITY_HOST);
  const endpoint = (options.endpoint ?? cloud).replace(/\/+$/, '');
  // Tokens are for a cloud, wherever its Resource Manager is reached.
  const scopes = [`${cloud}/.default`];
  const settings = {
    endpoint,
    credentials: { scopes },
    retryOptions: RETRIES,
    userAgentOptions: { userAgentPrefix: 'landfall' },
    additionalPolicies: [{ policy: createRequestTimeout(CONTROL_TIMEOUT_MS), position: 'perRetry' as const }],
  };
  return {
    options,
    credential,
    endpoint,
    scopes,
    compute: new ComputeManagementClient(credential, options.subscription, settings),
    network: new NetworkManagementClient(credential, options.subscription, settings),
    polling: { updateIntervalInMs: POLL_INTERVAL_MS },
  };
}

/** Resource Manager of the cloud to which the credentials belong. */
function cloudOf(authorityHost: string | undefined): string {
  const host = URL.parse(authorityHost ?? '')?.hostname ?? authorityHost ?? '';
  return NATIONAL_CLOUDS.find(({ authority }) => authority.test(host))?.endpoint ?? PUBLIC_ENDPOINT;
}
