/** One read of a caller as the requests that the server takes: whole blocks, none larger than it allows. */
import type { NbdRequest } from './nbd-connection.ts';
import { NbdRequestError } from './nbd-error.ts';
import type { NbdExport } from './nbd-negotiation.ts';
import type { NbdJob } from './nbd-queue.ts';
import { createReadReply, type Destination } from './nbd-read-reply.ts';

export type ReadJobOptions = {
  uri: string;
  exportBytes: number;
  minBlockBytes: number;
  /** A multiple of `minBlockBytes`. */
  requestBytes: number;
  /** At least one byte, within the export. */
  destination: Destination;
};

/** Ends at the first failure: from then on nothing is written to the destination. */
export function createReadJob(options: ReadJobOptions): NbdJob<void> {
  const { uri, exportBytes, minBlockBytes, requestBytes } = options;
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  let destination: Destination | null = options.destination;
  const wantedEnd = destination.offsetBytes + destination.into.length;
  // The last block of an export may be short.
  const endBytes = Math.min(roundUp(wantedEnd, minBlockBytes), exportBytes);
  let nextBytes = roundDown(destination.offsetBytes, minBlockBytes);
  let unanswered = 0;

  const end = (settle: () => void): void => {
    destination = null;
    nextBytes = endBytes;
    settle();
  };
  const cancel = (reason: unknown): void => end(() => reject(reason));

  const next = ({ hasStructuredReplies: isStructured }: NbdExport): NbdRequest | null => {
    if (nextBytes >= endBytes) return null;
    const offsetBytes = nextBytes;
    // Up to the next multiple of the request size: clusters and grains, which are powers of two, are not cut in two.
    nextBytes = Math.min(roundDown(offsetBytes, requestBytes) + requestBytes, endBytes);
    const asked = { offsetBytes, lengthBytes: nextBytes - offsetBytes };
    const receiver = createReadReply({ asked, isStructured, destination: () => destination });
    unanswered += 1;
    const finish = () => {
      const failure = receiver.finish();
      unanswered -= 1;
      if (failure !== null) {
        const attempted = `Reading ${asked.lengthBytes} bytes`;
        cancel(new NbdRequestError({ attempted, uri, asked, failure }));
      } else if (unanswered === 0 && nextBytes >= endBytes) end(resolve);
      return failure;
    };
    return { command: 'read', ...asked, receiver, finish, abandon: cancel };
  };
  return { done, next, cancel };
}

export function roundDown(value: number, step: number): number {
  return value - (value % step);
}

export function roundUp(value: number, step: number): number {
  return roundDown(value + step - 1, step);
}
