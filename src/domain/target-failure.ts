/** What a target's answer means to the operator: each adapter tells its own vendor's answers apart, into these five. */
import type { ErrorCode } from './errors.ts';

export type TargetFailure = {
  code: ErrorCode;
  retryable: boolean;
  /** A sentence; empty where the vendor's own words say what to do. */
  remedy: string;
};

export function denied(remedy: string): TargetFailure {
  return { code: 'target-denied', retryable: false, remedy };
}

export function missing(remedy: string): TargetFailure {
  return { code: 'target-missing', retryable: false, remedy };
}

export function refused(remedy: string): TargetFailure {
  return { code: 'target-refused', retryable: false, remedy };
}

/** A quota or a limit: it may be raised, and what counts against it may end. */
export function limited(remedy: string): TargetFailure {
  return { code: 'target-limit', retryable: true, remedy };
}

export function unavailable(remedy: string): TargetFailure {
  return { code: 'target-unavailable', retryable: true, remedy };
}
