import { describe, expect, test } from 'vitest';
import {
  BLOCK_ATTEMPTS,
  createBlockRetries,
  isCongestion,
  type Trouble,
  troubleOf,
} from '../../../../adapters/targets/aws/ebs-retry.ts';
import { awsError } from './scripted-aws.ts';

describe('what went wrong with a block', () => {
  test.each<[string, number, Trouble]>([
    ['ThrottlingException', 400, 'throttled'],
    ['RequestThrottledException', 400, 'throttled'],
    ['ConcurrentLimitExceededException', 400, 'throttled'],
    ['Whatever', 429, 'throttled'],
    ['SlowDown', 503, 'throttled'],
    ['InternalServerException', 500, 'transient'],
    ['ServiceUnavailable', 503, 'transient'],
    ['Whatever', 504, 'transient'],
    ['TimeoutError', 0, 'transient'],
    ['ConflictException', 503, 'permanent'],
    ['ServiceQuotaExceededException', 402, 'permanent'],
    ['AccessDeniedException', 403, 'permanent'],
    ['ResourceNotFoundException', 404, 'permanent'],
    ['ValidationException', 400, 'permanent'],
    ['AbortError', 0, 'permanent'],
    ['TypeError', 0, 'permanent'],
  ])('%s with status %i is %s', (name, status, trouble) => {
    expect(troubleOf(awsError(name, { status }))).toBe(trouble);
  });

  test('is transient where the block was cut on its way', () => {
    const message = 'Failed to read block data';
    expect(troubleOf(awsError('ValidationException', { message }))).toBe('transient');
    expect(troubleOf(Object.assign(new Error('aborted'), { code: 'ECONNRESET' }))).toBe('transient');
    expect(troubleOf(new Error('socket hang up'))).toBe('transient');
  });

  test('asks for fewer blocks at once where they are throttled, or never end in time', () => {
    expect(isCongestion(awsError('ThrottlingException'))).toBe(true);
    expect(isCongestion(Object.assign(awsError('TimeoutError'), { code: 'ETIMEDOUT' }))).toBe(true);
    expect(isCongestion(awsError('InternalServerException', { status: 500 }))).toBe(false);
    expect(isCongestion(Object.assign(awsError('TimeoutError'), { code: 'ECONNRESET' }))).toBe(false);
  });
});

describe('retries', () => {
  test('end after eight attempts, and wait longer each time', async () => {
    const strategy = createBlockRetries();
    const info = infoOf(awsError('InternalServerException', { status: 500 }));
    let token = await strategy.acquireInitialRetryToken('');
    for (let retry = 1; retry < BLOCK_ATTEMPTS; retry += 1) {
      token = await strategy.refreshRetryTokenForRetry(token, info);
      expect(token.getRetryCount()).toBe(retry);
      expect(token.getRetryDelay()).toBeLessThanOrEqual(100 * 2 ** (retry - 1));
    }
    await expect(strategy.refreshRetryTokenForRetry(token, info)).rejects.toThrow();
  });

  test('wait as long as AWS says, within 20 s', async () => {
    const strategy = createBlockRetries();
    const first = await strategy.acquireInitialRetryToken('');
    const delayAfter = async (ms: number): Promise<number> => {
      const retryAfterHint = new Date(Date.now() + ms);
      const info = { ...infoOf(awsError('ThrottlingException')), retryAfterHint };
      return (await strategy.refreshRetryTokenForRetry(first, info)).getRetryDelay();
    };
    expect(await delayAfter(5_000)).toBeGreaterThan(4_500);
    expect(await delayAfter(3_600_000)).toBe(20_000);
  });
});

type Info = Parameters<ReturnType<typeof createBlockRetries>['refreshRetryTokenForRetry']>[1];

function infoOf(error: Error): Info {
  return { error, errorType: 'TRANSIENT' } as Info;
}
