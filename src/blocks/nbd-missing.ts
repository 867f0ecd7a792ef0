/**
 * What of a request has not been answered yet. A server may answer in any order, but each byte once, and all of them.
 */
import { NbdViolation } from './nbd-protocol.ts';
import type { Span } from './nbd-replies.ts';

export type Missing = {
  /** Throws `NbdViolation` unless the whole span is missing. */
  take(span: Span): void;
  readonly isEmpty: boolean;
};

/**
 * Pieces that one reply may leave open at a time. Servers cut at sectors or clusters: the largest request has 1024
 * sectors and leaves 512 open where each second one comes first. More is a server that wants to keep us busy.
 */
const MAX_PIECES = 1024;

export function createMissing(whole: Span): Missing {
  /** In order; no two touch. */
  const pieces = [{ from: whole.offsetBytes, to: whole.offsetBytes + whole.lengthBytes }];
  return {
    get isEmpty() {
      return pieces.length === 0;
    },
    take: ({ offsetBytes, lengthBytes }) => {
      const from = offsetBytes;
      const to = offsetBytes + lengthBytes;
      const index = pieces.findIndex((piece) => from >= piece.from && to <= piece.to);
      const piece = pieces[index];
      if (piece === undefined || lengthBytes === 0) throw notAsked({ offsetBytes, lengthBytes }, whole);
      const rest = [
        { from: piece.from, to: from },
        { from: to, to: piece.to },
      ];
      pieces.splice(index, 1, ...rest.filter((each) => each.from < each.to));
      if (pieces.length > MAX_PIECES) throw new NbdViolation('it cut one reply into too many pieces');
    },
  };
}

function notAsked(span: Span, whole: Span): NbdViolation {
  return new NbdViolation(
    `it sent ${span.lengthBytes} bytes at offset ${span.offsetBytes}, outside of what was asked (${whole.lengthBytes} bytes at offset ${whole.offsetBytes}) or once more`,
  );
}
