/** One block status request of a caller: the server gives what it has at hand, the caller asks on from there. */
import type { NbdRequest } from './nbd-connection.ts';
import { NbdRequestError } from './nbd-error.ts';
import type { NbdExport } from './nbd-negotiation.ts';
import type { NbdJob } from './nbd-queue.ts';
import { roundDown, roundUp } from './nbd-read-job.ts';
import type { ReplyFailure, Span } from './nbd-replies.ts';
import { createStatusReply, type StatusRun } from './nbd-status-reply.ts';

export type StatusJobOptions = {
  uri: string;
  exportBytes: number;
  minBlockBytes: number;
  context: string;
  /** At least one byte, within the export. */
  wanted: Span;
};

/** 32 bits on the wire, a multiple of every block that a server may ask for, and room for a block more. */
const MAX_ASKED_BYTES = 2 ** 32 - 2 * 2 ** 16;

export function createStatusJob(options: StatusJobOptions): NbdJob<StatusRun[]> {
  const { uri, exportBytes, minBlockBytes, context, wanted } = options;
  const { promise: done, resolve, reject } = Promise.withResolvers<StatusRun[]>();
  const asked = askedFor({ exportBytes, minBlockBytes, wanted });
  let isGivenOut = false;

  const next = ({ contexts }: NbdExport): NbdRequest | null => {
    if (isGivenOut) return null;
    isGivenOut = true;
    const receiver = createStatusReply({ asked, wanted, contexts, context });
    const finish = (): ReplyFailure | null => {
      const outcome = receiver.finish();
      if ('runs' in outcome) {
        resolve(outcome.runs);
        return null;
      }
      reject(new NbdRequestError({ attempted: 'Asking for block status', uri, asked, failure: outcome }));
      return outcome;
    };
    return { command: 'blockStatus', ...asked, receiver, finish, abandon: reject };
  };
  const cancel = (reason: unknown): void => {
    isGivenOut = true;
    reject(reason);
  };
  return { done, next, cancel };
}

function askedFor({
  exportBytes,
  minBlockBytes,
  wanted,
}: Pick<StatusJobOptions, 'exportBytes' | 'minBlockBytes' | 'wanted'>): Span {
  const offsetBytes = roundDown(wanted.offsetBytes, minBlockBytes);
  const endBytes = Math.min(roundUp(wanted.offsetBytes + wanted.lengthBytes, minBlockBytes), exportBytes);
  return { offsetBytes, lengthBytes: Math.min(endBytes - offsetBytes, MAX_ASKED_BYTES) };
}
