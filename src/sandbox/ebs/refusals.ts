/**
 * EBS direct's refusals, in its own words: a code and, where it has one, the reason.
 * https://docs.aws.amazon.com/ebs/latest/APIReference/CommonErrors.html
 */
import type { HttpAnswer } from '../http.ts';
import { Refusal } from '../refusal.ts';

export type InvalidReason =
  | 'CONFLICTING_BLOCK_UPDATE'
  | 'INVALID_BLOCK'
  | 'INVALID_BLOCK_TOKEN'
  | 'INVALID_CONTENT_ENCODING'
  | 'INVALID_PAGE_TOKEN'
  | 'INVALID_PARAMETER_VALUE'
  | 'INVALID_SNAPSHOT_ID'
  | 'INVALID_TAG'
  | 'INVALID_VOLUME_SIZE'
  | 'UNRELATED_SNAPSHOTS';

export function invalid(Reason: InvalidReason, message: string): Refusal {
  return new Refusal({ status: 400, code: 'ValidationException', message, fields: { Reason } });
}

export function invalidParameter(message: string): Refusal {
  return invalid('INVALID_PARAMETER_VALUE', message);
}

export function noSuchSnapshot(id: string): Refusal {
  return new Refusal({
    status: 404,
    code: 'ResourceNotFoundException',
    message: `The snapshot '${id}' does not exist.`,
    fields: { Reason: 'SNAPSHOT_NOT_FOUND' },
  });
}

export function tokenConflict(): Refusal {
  const message = 'The request uses the same client token as a previous, but non-identical request.';
  return new Refusal({ status: 409, code: 'ConflictException', message });
}

export function quotaExceeded(message: string): Refusal {
  return new Refusal({
    status: 402,
    code: 'ServiceQuotaExceededException',
    message,
    fields: { Reason: 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED' },
  });
}

export function throttled(action: string): Refusal {
  return new Refusal({
    status: 400,
    code: 'RequestThrottledException',
    message: `The number of ${action} requests has exceeded the throttling limit of the account.`,
    fields: { Reason: 'ACCOUNT_THROTTLED' },
  });
}

/** restJson1: the code in a header, the rest in the body. */
export function answerEbsRefusal({ status, code, message, fields }: Refusal): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'x-amzn-errortype': code },
    body: { kind: 'text', text: JSON.stringify({ Message: message, ...fields }) },
  };
}
