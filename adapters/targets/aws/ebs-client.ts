/**
 * The client of EBS direct. A block costs it about 0.7 ms of CPU (loopback, one core of Node 24), to which the SDK would
 * add 0.35 ms by hashing the block a second time for the signature, and 0.07 ms by its user agent.
 */
import { Readable } from 'node:stream';
import { EBSClient, type EBSClientConfig } from '@aws-sdk/client-ebs';
import { type AdaptiveLimit, createAdaptiveLimit } from '../../../src/blocks/adaptive-limit.ts';
import { BLOCK_ATTEMPTS, createBlockRetries, isCongestion } from './ebs-retry.ts';

/** Of every snapshot; StartSnapshot tells it too. */
export const EBS_BLOCK_BYTES = 512 * 1024;

/**
 * AWS's own sum is 100 connections × 100 ms ≈ 500 MB/s; 64 give 320 MB/s, about what one core sends, and hold 32 MiB.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-performance.html
 */
export const MAX_BLOCKS_AT_ONCE = 64;

/** Doubles with every round of answers: 64 are under way after three. */
const FIRST_BLOCKS_AT_ONCE = 8;

/** From the first byte of a block to the answer. A lost request must not hold its lane; at 17 KB/s each, a block passes. */
const BLOCK_TIMEOUT_MS = 30_000;

/** Of a block's body, once its headers are there. */
const BODY_TIMEOUT_MS = 30_000;

/** How many blocks are under way at once, for all disks of this worker: AWS counts by account. */
export type BlockLimits = { writes: AdaptiveLimit; reads: AdaptiveLimit };

export function createBlockLimits(): BlockLimits {
  const bounds = { start: FIRST_BLOCKS_AT_ONCE, max: MAX_BLOCKS_AT_ONCE };
  return { writes: createAdaptiveLimit(bounds), reads: createAdaptiveLimit(bounds) };
}

export function createEbsClient(
  { connectionTimeoutMs, ...shared }: EBSClientConfig & { connectionTimeoutMs: number },
  limits: BlockLimits,
): EBSClient {
  // Waiting for a free connection counts against the request's time: there must be one for each block under way.
  const agent = { keepAlive: true, maxSockets: 2 * MAX_BLOCKS_AT_ONCE + 8 };
  const client = new EBSClient({
    ...shared,
    maxAttempts: BLOCK_ATTEMPTS,
    retryStrategy: createBlockRetries(),
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      requestTimeout: BLOCK_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  trimRequests(client);
  watchAttempts(client, limits);
  readWholeBlocks(client);
  return client;
}

/**
 * The API leaves the payload of a block out of the signature: its checksum is signed, and speaks for it. The SDK would
 * sign the payload too; a damaged block would then be refused as if our credentials were wrong.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/API_PutSnapshotBlock.html
 */
function trimRequests({ middlewareStack }: EBSClient): void {
  // Put together anew for each request, it is a tenth of what is left.
  middlewareStack.remove('getUserAgentMiddleware');
  middlewareStack.add(
    (next, context) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['user-agent'] = 'landfall';
      if (context.commandName === 'PutSnapshotBlockCommand')
        headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'trimRequests' },
  );
}

/** Inside of the retries, since the limit must learn of each attempt that was throttled, also where the next one works. */
function watchAttempts({ middlewareStack }: EBSClient, limits: BlockLimits): void {
  const limitOf: Readonly<Record<string, AdaptiveLimit>> = {
    PutSnapshotBlockCommand: limits.writes,
    GetSnapshotBlockCommand: limits.reads,
  };
  middlewareStack.add(
    (next, context) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (isCongestion(error)) limitOf[context.commandName ?? '']?.throttled();
        throw error;
      }
    },
    // The retries have the high priority of this step.
    { step: 'finalizeRequest', priority: 'low', name: 'watchAttempts' },
  );
}

/** The SDK's retries end with the headers; a block whose body stalls or breaks off is asked for again, like any other. */
function readWholeBlocks({ middlewareStack }: EBSClient): void {
  middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args);
      if (context.commandName !== 'GetSnapshotBlockCommand') return result;
      const response = result.response as { statusCode: number; body: Readable };
      if (response.statusCode < 300) response.body = Readable.from([await collect(response.body)]);
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'readWholeBlocks' },
  );
}

async function collect(body: Readable): Promise<Buffer> {
  const overdue = Object.assign(new Error(`no more of the block came within ${BODY_TIMEOUT_MS} ms`), {
    name: 'TimeoutError',
  });
  const timer = setTimeout(() => body.destroy(overdue), BODY_TIMEOUT_MS);
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  } finally {
    clearTimeout(timer);
  }
}
