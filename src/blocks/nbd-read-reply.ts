/** Takes in the reply to a read: bytes go straight to where the caller wants them, in whatever order they come. */
import { createFailureLog } from './nbd-failure-log.ts';
import { createMissing } from './nbd-missing.ts';
import { NbdViolation } from './nbd-protocol.ts';
import type { ReplyFailure, ReplyReceiver, Span } from './nbd-replies.ts';

/** Where the bytes go: the first byte of `into` is the export's at `offsetBytes`. */
export type Destination = { offsetBytes: number; into: Uint8Array };

export type ReadReply = ReplyReceiver & {
  /** The first failure, when the reply is whole. Throws `NbdViolation` when bytes are missing from a success. */
  finish(): ReplyFailure | null;
};

/**
 * `asked` may be wider than the destination, where the server takes only whole blocks: what is outside is dropped.
 * `destination` gives null once the caller has taken the buffer back: the reply is still read, to nowhere.
 */
export function createReadReply(read: {
  asked: Span;
  /** "The server MUST use structured replies" once they were agreed on. */
  isStructured: boolean;
  destination: () => Destination | null;
}): ReadReply {
  const { asked, isStructured, destination } = read;
  const missing = createMissing(asked);
  const failures = createFailureLog(asked);
  return {
    simpleData: isStructured ? null : asked,
    expectData: (span) => missing.take(span),
    data: (offsetBytes, bytes) => {
      const to = destination();
      if (to !== null) place(to, offsetBytes, bytes);
    },
    hole: (span) => {
      missing.take(span);
      const to = destination();
      if (to !== null) placeZeros(to, span);
    },
    expectStatus: () => {
      throw new NbdViolation('it answered a read with block status');
    },
    status: () => undefined,
    fail: failures.add,
    finish: () => {
      if (failures.first === null && !missing.isEmpty) {
        throw new NbdViolation(
          `it ended the reply to a read of ${asked.lengthBytes} bytes at offset ${asked.offsetBytes} with bytes missing`,
        );
      }
      return failures.first;
    },
  };
}

function place({ offsetBytes: start, into }: Destination, offsetBytes: number, bytes: Uint8Array): void {
  const at = offsetBytes - start;
  const from = Math.max(0, -at);
  const to = Math.min(bytes.length, into.length - at);
  if (from < to) into.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), at + from);
}

function placeZeros({ offsetBytes: start, into }: Destination, span: Span): void {
  const at = span.offsetBytes - start;
  into.fill(0, Math.max(0, at), Math.max(0, at + span.lengthBytes));
}
