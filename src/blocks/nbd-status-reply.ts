/** Takes in the reply to a block status request: runs of one context, those of others are only checked. */
import { createFailureLog } from './nbd-failure-log.ts';
import { NbdViolation } from './nbd-protocol.ts';
import type { ReplyFailure, ReplyReceiver, Span } from './nbd-replies.ts';

/** `base:allocation`: bit 0 hole, bit 1 reads as zeros. `qemu:dirty-bitmap:…`: bit 0 dirty. */
export type StatusRun = { lengthBytes: number; flags: number };

export type StatusReply = ReplyReceiver & {
  /** When the reply is whole: what it says, or how it failed. Throws `NbdViolation` when it says too little. */
  finish(): { runs: StatusRun[] } | ReplyFailure;
};

/**
 * Runs kept of one reply: at most 65 536 × about 40 bytes, 2.5 MiB. A reply may say less than was asked, so what is
 * beyond is dropped; the caller goes on from there. qemu sends up to 131 072, nbdkit up to 1 048 576.
 */
const MAX_RUNS = 2 ** 16;
const DESCRIPTOR_BYTES = 8;

export function createStatusReply(request: {
  asked: Span;
  /** Within `asked`, which is wider where the server takes only whole blocks. */
  wanted: Span;
  context: string;
  /**
   * All that were agreed on, by the ids of the connection: "exactly one status chunk per negotiated metadata context".
   */
  contexts: ReadonlyMap<number, string>;
}): StatusReply {
  const { asked, wanted, context, contexts } = request;
  const awaited = new Set(contexts.keys());
  const runs: StatusRun[] = [];
  let isWanted = false;
  const failures = createFailureLog(asked);
  const noData = (): never => {
    throw new NbdViolation('it answered a block status request with data');
  };
  return {
    simpleData: null,
    expectData: noData,
    data: noData,
    hole: noData,
    expectStatus: (id) => {
      if (!awaited.delete(id)) {
        throw new NbdViolation(
          `it gives status for context ${id}, which it was not asked for or gave before`,
        );
      }
      isWanted = contexts.get(id) === context;
    },
    status: (descriptors) => {
      for (let at = 0; at < descriptors.length; at += DESCRIPTOR_BYTES) {
        const lengthBytes = descriptors.readUInt32BE(at);
        if (lengthBytes === 0) throw new NbdViolation('it gives status for no bytes');
        if (isWanted && runs.length < MAX_RUNS) {
          runs.push({ lengthBytes, flags: descriptors.readUInt32BE(at + 4) });
        }
      }
    },
    fail: failures.add,
    finish: () => {
      if (failures.first !== null) return failures.first;
      if (awaited.size > 0) throw new NbdViolation('it ended a block status reply with a context missing');
      const clipped = clipRuns(runs, asked.offsetBytes, wanted);
      if (clipped.length === 0) throw new NbdViolation('it gives status for none of the bytes asked about');
      return { runs: clipped };
    },
  };
}

/**
 * The part of the runs, which begin at `startBytes`, that lies within the span: servers may say more than was asked.
 */
function clipRuns(runs: readonly StatusRun[], startBytes: number, span: Span): StatusRun[] {
  const endBytes = span.offsetBytes + span.lengthBytes;
  const clipped: StatusRun[] = [];
  let at = startBytes;
  for (const { lengthBytes, flags } of runs) {
    const from = Math.max(at, span.offsetBytes);
    at += lengthBytes;
    const to = Math.min(at, endBytes);
    if (from < to) clipped.push({ lengthBytes: to - from, flags });
  }
  return clipped;
}
