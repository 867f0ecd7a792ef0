/** The errors that one reply reports: the first is told to the caller. */
import { NbdViolation } from './nbd-protocol.ts';
import type { ReplyFailure, Span } from './nbd-replies.ts';

export type FailureLog = {
  readonly first: ReplyFailure | null;
  /** Throws `NbdViolation` where the error lies outside of the request, or is one too many. */
  add(failure: ReplyFailure): void;
};

/** Errors may come one for each place. A reply that goes on with them for ever would never time out. */
const MAX_FAILURES = 1024;

export function createFailureLog(asked: Span): FailureLog {
  let first: ReplyFailure | null = null;
  let count = 0;
  return {
    get first() {
      return first;
    },
    add: (failure) => {
      checkPlace(failure, asked);
      count += 1;
      if (count > MAX_FAILURES) throw new NbdViolation('it reports errors without end');
      first ??= failure;
    },
  };
}

/** "…at a given offset, which MUST lie within the original offset and length of the request." */
function checkPlace({ offsetBytes }: ReplyFailure, asked: Span): void {
  if (offsetBytes === null) return;
  if (offsetBytes >= asked.offsetBytes && offsetBytes < asked.offsetBytes + asked.lengthBytes) return;
  throw new NbdViolation(`it reports an error at offset ${offsetBytes}, outside of what was asked`);
}
