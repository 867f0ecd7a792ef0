/**
 * Which failed page requests are tried again, and when: the one retry layer of these requests, inside the SDK's pipeline,
 * in place of the SDK's own. It differs in four points: it waits as `Retry-After` says and takes 429 as such, its delays
 * have jitter (the SDK sends all that were refused together again together), a request that is not answered ends, and
 * each throttle is told to the adaptive limit.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RestError } from '@azure/storage-blob';
import { azureCodeOf, statusOf } from './errors.ts';
import { type PipelinePolicy, type PipelineRequest, sendInTime } from './request-timeout.ts';

/** At 5 % of faults, eight attempts fail in a row once in 2.6 × 10^10 requests; a disk of 32 TiB has 6.7 × 10^7. */
export const PAGE_ATTEMPTS = 8;
/** Full jitter under 100 ms × 2^n: at most 12.7 s over seven delays, 6.4 s on average. */
const TRANSIENT_DELAY_MS = 100;
/** 500 ms × 2^n: at most 51 s, 26 s on average. */
const THROTTLED_DELAY_MS = 500;
const MAX_DELAY_MS = 20_000;
/** What Azure asks for is waited for up to here; beyond, the record waits without holding a worker. */
const MAX_RETRY_AFTER_MS = 120_000;
/** 4 MiB in 60 s are 70 KB/s: on a line that is slower, the adaptive limit goes down to one at once. */
const REQUEST_TIMEOUT_MS = 60_000;

export type Trouble = 'throttled' | 'transient' | 'permanent';

const THROTTLED = new Set(['ServerBusy', 'TooManyRequests']);
/** Damaged on the way: the bytes are still here, and are sent again. */
const DAMAGED = new Set(['Md5Mismatch', 'Crc64Mismatch']);
const NETWORK =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ESOCKETTIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ERR_STREAM_PREMATURE_CLOSE|REQUEST_SEND_ERROR)$/;

/** `onThrottled`: fewer requests at once would help. */
export function createPageRetries(onThrottled: () => void): PipelinePolicy {
  return {
    name: 'pageRetries',
    async sendRequest(request, next) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await sendInTime(request, { next, timeoutMs: REQUEST_TIMEOUT_MS });
        } catch (error) {
          const trouble = troubleOf(error);
          if (trouble === 'throttled' || isOverdue(error)) onThrottled();
          if (trouble === 'permanent' || attempt >= PAGE_ATTEMPTS) throw error;
          const delayMs = delayBefore(error, { trouble, attempt });
          if (delayMs === null) throw error;
          await pause(delayMs, request.abortSignal);
        }
      }
    },
  };
}

/** What to make of a failed attempt. */
export function troubleOf(error: unknown): Trouble {
  const code = azureCodeOf(error);
  const status = statusOf(error) ?? 0;
  if (code === 'AbortError') return 'permanent';
  if (THROTTLED.has(code) || status === 429 || status === 503) return 'throttled';
  if (DAMAGED.has(code) || status >= 500 || status === 408) return 'transient';
  if (status >= 400) return 'permanent';
  const { message = '' } = error as { message?: string };
  const isNetwork =
    NETWORK.test(code) || /socket hang up|socket disconnected|connection.*closed/i.test(message);
  return isNetwork ? 'transient' : 'permanent';
}

function isOverdue(error: unknown): boolean {
  return azureCodeOf(error) === 'ETIMEDOUT';
}

/** null where Azure asks for more than a worker should wait. */
function delayBefore(
  error: unknown,
  { trouble, attempt }: { trouble: Trouble; attempt: number },
): number | null {
  const baseMs = trouble === 'throttled' ? THROTTLED_DELAY_MS : TRANSIENT_DELAY_MS;
  const ownMs = Math.random() * Math.min(MAX_DELAY_MS, baseMs * 2 ** (attempt - 1));
  const askedMs = retryAfterMs(error);
  return askedMs > MAX_RETRY_AFTER_MS ? null : Math.max(askedMs, ownMs);
}

/** Seconds or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfterMs(error: unknown): number {
  const said = (error as RestError).response?.headers?.get('retry-after') ?? '';
  if (/^\d+$/.test(said)) return Number(said) * 1000;
  const atMs = Date.parse(said);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - Date.now());
}

async function pause(delayMs: number, signal: PipelineRequest['abortSignal']): Promise<void> {
  // The SDK hands the caller's signal on as it is.
  const options = signal instanceof AbortSignal ? { signal } : {};
  await sleep(delayMs, undefined, options);
}
