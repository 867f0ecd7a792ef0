/**
 * The SDK's clients. Credentials and endpoints come by the SDK's own chain (environment, shared files, instance roles,
 * `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` …). The SDK retries; nothing of ours retries a request a second time
 * (of EBS direct, the SDK's retries with a strategy of ours).
 */
import type { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { IAMClient } from '@aws-sdk/client-iam';
import { S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { type BlockLimits, createBlockLimits, createEbsClient } from './ebs-client.ts';
import type { AwsOptions } from './options.ts';

/** One account's region, as a wave's target names it. */
export type Aws = {
  options: AwsOptions;
  ebs: EBSClient;
  blockLimits: BlockLimits;
  ec2: EC2Client;
  iam: IAMClient;
  s3: S3Client;
  sts: STSClient;
};

const CONNECTION_TIMEOUT_MS = 5_000;
/** Answers of the control plane are short; 30 s without one means that it is lost. */
const CONTROL_TIMEOUT_MS = 30_000;
/** A part of 16 MiB takes over two minutes at 1 Mbit/s: an upload is lost when nothing moved, not when it is slow. */
const DATA_IDLE_TIMEOUT_MS = 60_000;
/** Five attempts with the SDK's exponential delays bridge about 15 s; longer outages are the record's to retry. */
const MAX_ATTEMPTS = 5;

export function createAws(options: AwsOptions): Aws {
  const { region, endpoint } = options;
  const shared = { region, maxAttempts: MAX_ATTEMPTS, ...(endpoint === undefined ? {} : { endpoint }) };
  const control = {
    ...shared,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: CONTROL_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  };
  const blockLimits = createBlockLimits();
  return {
    options,
    ebs: createEbsClient({ ...shared, connectionTimeoutMs: CONNECTION_TIMEOUT_MS }, blockLimits),
    blockLimits,
    ec2: new EC2Client(control),
    iam: new IAMClient(control),
    sts: new STSClient(control),
    s3: new S3Client({
      ...shared,
      forcePathStyle: hasOwnEndpoint(endpoint),
      requestHandler: { connectionTimeout: CONNECTION_TIMEOUT_MS, socketTimeout: DATA_IDLE_TIMEOUT_MS },
    }),
  };
}

/** Servers at an address of their own seldom answer for `BUCKET.HOST`; the path works everywhere. */
function hasOwnEndpoint(endpoint: string | undefined): boolean {
  return [endpoint, process.env.AWS_ENDPOINT_URL_S3, process.env.AWS_ENDPOINT_URL].some(Boolean);
}
