/**
 * One error for the whole of Landfall. Adapters classify, the record retries, the CLI maps codes to exit statuses.
 * The message says what was attempted, on what, and what to do about it.
 */
import { z } from 'zod';

/** What went wrong, in the operator's terms. Each code has one line in docs/operations.md. */
export type ErrorCode =
  // What the operator gave us (exit status 2): nothing was started.
  | 'usage'
  | 'wave-invalid'
  | 'machine-busy'
  | 'image-missing'
  | 'image-unreadable'
  | 'image-corrupt'
  | 'image-hostile'
  | 'digest-mismatch'
  | 'preflight-refused'
  | 'not-found'
  | 'conflict'
  // What happened on the way (exit status 1).
  | 'source-changed'
  | 'source-not-off'
  | 'source-unavailable'
  | 'no-space'
  | 'target-denied'
  | 'target-missing'
  | 'target-refused'
  | 'target-limit'
  | 'target-unavailable'
  | 'import-failed'
  | 'boot-failed'
  | 'boot-timeout'
  | 'redis-away'
  | 'evidence-unavailable'
  | 'tool-missing'
  | 'tool-failed'
  | 'lease-lost'
  | 'job-lost'
  | 'cancelled'
  | 'internal';

export const EXIT_LANDED = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_PARTIAL = 3;

const INPUT_CODES: ReadonlySet<ErrorCode> = new Set([
  'usage',
  'wave-invalid',
  'machine-busy',
  'image-missing',
  'image-unreadable',
  'image-corrupt',
  'image-hostile',
  'digest-mismatch',
  'preflight-refused',
  'not-found',
  'conflict',
]);

export type ErrorContext = Readonly<Record<string, string | number | boolean | null>>;

export type LandfallErrorOptions = {
  code: ErrorCode;
  message: string;
  /** May the same step succeed if it is tried again, with nothing changed by a person? */
  retryable?: boolean;
  cause?: unknown;
  /** Facts for machines (ids, offsets in bytes, paths); never secrets. */
  context?: ErrorContext;
};

export class LandfallError extends Error {
  override readonly name = 'LandfallError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly context: ErrorContext;

  constructor({ code, message, retryable = false, cause, context = {} }: LandfallErrorOptions) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
    this.context = context;
  }
}

/** An error as records, events and `--json` hold it: plain data, no stack. */
export type SavedError = {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  context: ErrorContext;
};

export function saveError(error: unknown): SavedError {
  const { code, message, retryable, context } = asLandfallError(error);
  return { code, message, retryable, context };
}

/** Whatever was thrown, as a LandfallError: an unknown failure is `internal` and may be tried again. */
export function asLandfallError(error: unknown): LandfallError {
  if (error instanceof LandfallError) return error;
  // Something failed on the way out of a failure: the first failure is the one to tell.
  if (error instanceof SuppressedError) return asLandfallError(error.suppressed);
  if (error instanceof z.ZodError) return wrongOptions(error);
  if (error instanceof Error && error.name === 'AbortError') {
    return new LandfallError({ code: 'cancelled', message: error.message, cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new LandfallError({ code: 'internal', message, retryable: true, cause: error });
}

/** Options are checked when the wave is read; what an environment variable puts in their place is checked when it is used. */
function wrongOptions(error: z.ZodError): LandfallError {
  const lines = error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`);
  return new LandfallError({
    code: 'preflight-refused',
    message: `What the environment gives for \`\${env:…}\` does not fit: ${lines.join('; ')}. Correct the variable where the workers run.`,
    cause: error,
  });
}

export function exitStatusOf(error: LandfallError): number {
  return INPUT_CODES.has(error.code) ? EXIT_USAGE : EXIT_FAILED;
}
