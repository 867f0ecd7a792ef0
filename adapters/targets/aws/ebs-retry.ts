/**
 * Which failures of EBS direct are tried again, and when: the one retry layer of these calls, inside the SDK's own retry
 * middleware. It differs from the SDK's standard mode in three points. The errors are those that AWS names
 * (https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-error-retries.html), of which the SDK misses some and, by its
 * HTTP status 503, takes a ConflictException in. There is no token bucket: 64 requests that a restarted endpoint drops at
 * once would cost 896 of its 500 tokens, and the rest fail at the first attempt. The delays begin later, since what slows
 * all of them down is the adaptive limit.
 */
import type { EBSClientConfig } from '@aws-sdk/client-ebs';
import { awsCodeOf } from './errors.ts';

/**
 * At 5 % of faults, eight attempts fail in a row once in 2.6 × 10^10 blocks; a disk of 16 TiB has 3.4 × 10^7. Five
 * attempts would fail ten times on such a disk.
 */
export const BLOCK_ATTEMPTS = 8;
/** Full jitter under 100 ms × 2^n: at most 12.7 s over seven delays, 6.4 s on average. */
const TRANSIENT_DELAY_MS = 100;
/** 500 ms × 2^n: at most 51 s, 26 s on average. */
const THROTTLED_DELAY_MS = 500;
const MAX_DELAY_MS = 20_000;

export type Trouble = 'throttled' | 'transient' | 'permanent';

type Strategy = Extract<NonNullable<EBSClientConfig['retryStrategy']>, { acquireInitialRetryToken: unknown }>;
type RetryToken = Awaited<ReturnType<Strategy['acquireInitialRetryToken']>>;

const THROTTLED = new Set([
  'ThrottlingException',
  'RequestThrottledException',
  'ConcurrentLimitExceededException',
  'Throttling',
  'SlowDown',
  'TooManyRequestsException',
  'RequestLimitExceeded',
]);
const PERMANENT = new Set([
  'AbortError',
  'AccessDeniedException',
  'ConflictException',
  'ResourceNotFoundException',
  'ServiceQuotaExceededException',
]);
const TRANSIENT = new Set([
  'TimeoutError',
  'RequestTimeout',
  'RequestTimeoutException',
  'InternalServerException',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

export function createBlockRetries(): Strategy {
  return {
    acquireInitialRetryToken: async () => tokenOf(0, 0),
    refreshRetryTokenForRetry: async (token, { error, retryAfterHint }) => {
      const trouble = troubleOf(error);
      const retryCount = token.getRetryCount() + 1;
      if (trouble === 'permanent' || retryCount >= BLOCK_ATTEMPTS) throw new Error('it is not tried again');
      const hintMs = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now();
      return tokenOf(retryCount, Math.min(MAX_DELAY_MS, Math.max(hintMs, delayMs(trouble, retryCount))));
    },
    recordSuccess: () => {},
  };
}

/** What to make of a failed attempt. */
export function troubleOf(error: unknown): Trouble {
  const code = awsCodeOf(error);
  const { message = '', $metadata = {} } = error as {
    message?: string;
    $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
  };
  const status = $metadata.httpStatusCode ?? 0;
  if (PERMANENT.has(code)) return 'permanent';
  if (THROTTLED.has(code) || status === 429) return 'throttled';
  if (TRANSIENT.has(code) || status >= 500 || $metadata.clockSkewCorrected === true) return 'transient';
  // The body was cut on its way: AWS says it as an error of the client, and names it among those to try again.
  if (code === 'ValidationException' && /failed to read block data/i.test(message)) return 'transient';
  return /socket hang up|socket disconnected|connection.*closed/i.test(message) ? 'transient' : 'permanent';
}

/** Where fewer requests at once would help: AWS says so, or a thin line shows it by requests that never end in time. */
export function isCongestion(error: unknown): boolean {
  // The SDK names connections that broke off TimeoutError, too.
  const { name, code } = error as Error & { code?: unknown };
  const isOverdue = name === 'TimeoutError' && (code === undefined || code === 'ETIMEDOUT');
  return isOverdue || troubleOf(error) === 'throttled';
}

function delayMs(trouble: Trouble, retryCount: number): number {
  const baseMs = trouble === 'throttled' ? THROTTLED_DELAY_MS : TRANSIENT_DELAY_MS;
  return Math.random() * Math.min(MAX_DELAY_MS, baseMs * 2 ** (retryCount - 1));
}

function tokenOf(retryCount: number, retryDelayMs: number): RetryToken {
  return { getRetryCount: () => retryCount, getRetryDelay: () => retryDelayMs };
}
