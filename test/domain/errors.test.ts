import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  asLandfallError,
  EXIT_FAILED,
  EXIT_USAGE,
  exitStatusOf,
  LandfallError,
  saveError,
} from '../../src/domain/errors.ts';

const denied = new LandfallError({
  code: 'target-denied',
  message: 'the bucket acme denied PutObject',
  context: { bucket: 'acme' },
  cause: new Error('AccessDenied'),
});

it('keeps code, message, context and cause, and is not retryable unless said so', () => {
  expect(denied).toMatchObject({ code: 'target-denied', retryable: false, context: { bucket: 'acme' } });
  expect(denied.cause).toMatchObject({ message: 'AccessDenied' });
  expect(denied).toBeInstanceOf(Error);
});

it('is saved as plain data that outlives JSON', () => {
  const saved = saveError(denied);
  expect(saved).toEqual({
    code: 'target-denied',
    message: 'the bucket acme denied PutObject',
    retryable: false,
    context: { bucket: 'acme' },
  });
  expect(JSON.parse(JSON.stringify(saved))).toEqual(saved);
});

it('passes a LandfallError through as it is', () => {
  expect(asLandfallError(denied)).toBe(denied);
});

it('takes an abort for a cancellation, which is not tried again', () => {
  const reason: unknown = AbortSignal.abort().reason;
  expect(asLandfallError(reason)).toMatchObject({ code: 'cancelled', retryable: false });
});

it.each([
  ['an unknown error', new TypeError('x is not a function'), 'x is not a function'],
  ['a timeout', new DOMException('took too long', 'TimeoutError'), 'took too long'],
  ['a string', 'odd', 'odd'],
  ['nothing', undefined, 'undefined'],
])('takes %s for internal, which may be tried again', (_, thrown, message) => {
  expect(asLandfallError(thrown)).toMatchObject({ code: 'internal', retryable: true, message });
  expect(saveError(thrown)).toMatchObject({ code: 'internal', message });
});

it.each([
  ['wave-invalid', EXIT_USAGE],
  ['image-hostile', EXIT_USAGE],
  ['preflight-refused', EXIT_USAGE],
  ['conflict', EXIT_USAGE],
  ['boot-failed', EXIT_FAILED],
  ['redis-away', EXIT_FAILED],
  ['internal', EXIT_FAILED],
] as const)('%s ends with status %i', (code, status) => {
  expect(exitStatusOf(new LandfallError({ code, message: '' }))).toBe(status);
});

describe('options that stop to fit once the environment is put in', () => {
  it('are told by key, and not tried again', () => {
    const parsed = z
      .strictObject({ region: z.string().regex(/^eu-/, 'is not a region') })
      .safeParse({ region: 'mars' });
    const error = asLandfallError(parsed.error);
    expect(error).toMatchObject({ code: 'preflight-refused', retryable: false });
    expect(error.message).toContain('region: is not a region');
  });
});
