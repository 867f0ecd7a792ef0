/** A kept error, without the facts that are for programs. */
import type { SavedError } from '../../domain/errors.ts';

export function showError({ code, message, retryable }: SavedError): {
  code: string;
  message: string;
  retryable: boolean;
} {
  return { code, message, retryable };
}
