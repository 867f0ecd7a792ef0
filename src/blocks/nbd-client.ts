/**
 * Reads a disk that an NBD server exports: over several connections where the server allows it, with several requests
 * in flight on each, each as large as was measured to be best. A client that lost its server is of no more use: its
 * owner opens a new one.
 */
import { NbdConnection } from './nbd-connection.ts';
import { clientClosed, contextAbsent, exportDiffers } from './nbd-error.ts';
import type { NbdExport } from './nbd-negotiation.ts';
import { createQueue } from './nbd-queue.ts';
import { createReadJob, roundDown } from './nbd-read-job.ts';
import type { Span } from './nbd-replies.ts';
import type { NbdTls } from './nbd-socket.ts';
import { createStatusJob } from './nbd-status-job.ts';
import type { StatusRun } from './nbd-status-reply.ts';
import { parseNbdUri } from './nbd-uri.ts';

export type NbdClient = AsyncDisposable & {
  /** Size of the export. */
  readonly bytes: number;
  readonly canMultiConn: boolean;
  /** How many there are: fewer than were wanted where the server allows only one or takes no more. */
  readonly connections: number;
  readonly minBlockBytes: number;
  /** The most that one request may ask for; `read` splits what is larger. */
  readonly maxReadBytes: number;
  /** Metadata contexts that the server agreed to. */
  readonly contexts: readonly string[];
  /**
   * Fills `into` with the bytes at the offset. Throws `NbdRequestError` when the server could not read them (the client
   * is as good as before), and other errors when the client is lost. When it has thrown, aborted or not, nothing is
   * written into `into` any more.
   */
  read(request: { offsetBytes: number; into: Uint8Array }, signal: AbortSignal): Promise<void>;
  /**
   * Status from the offset on: contiguous runs, at least one, maybe of fewer bytes than asked, never of more. Throws
   * `NbdRequestError`, or `image-unreadable` where the server did not agree to the context.
   */
  blockStatus(request: StatusRequest, signal: AbortSignal): Promise<StatusRun[]>;
};

export type StatusRequest = { context: string; offsetBytes: number; lengthBytes: number };

export type NbdClientOptions = {
  uri: string;
  /** At most; more than one only where the server says that it can. */
  connections?: number;
  /** Metadata contexts to ask for; see in `contexts` which the server has. */
  contexts?: readonly string[];
  tls?: NbdTls;
  /** The longest silence of a server that owes an answer. */
  requestTimeoutMs?: number;
  /** Ends the opening. */
  signal: AbortSignal;
};

/**
 * Measured on two cores, 2 GiB from qemu-nbd over a unix socket (raw, cached; medians of 7; nbdcopy to null 2.17 GB/s):
 * two connections, each with 4 requests of 512 KiB in flight 2.35 GB/s, with 8 of them 2.21, with 8 of 256 KiB 2.13;
 * one connection with 8 of 512 KiB 2.11; two with 4 of 1 MiB 1.4. All but the last are within the noise.
 */
export const NBD_CONNECTIONS = 2;
/** Also the size of a block of the digest tree: one block, one request. */
export const NBD_REQUEST_BYTES = 512 * 1024;
/**
 * On each connection. 2 × 8 × 512 KiB = 8 MiB on the way at most: at a round trip of 50 ms, as over a VPN, that is
 * 160 MB/s; half of the 16 requests of one client that qemu-nbd works on at once.
 */
export const NBD_REQUESTS_IN_FLIGHT = 8;
/** Storage that spins up or fails over answers within 20 s; NFS clients and iSCSI give up after 30 s or later. */
export const NBD_REQUEST_TIMEOUT_MS = 30_000;
/** A second connection is not worth more: a server that has as many clients as it takes never answers. */
const SPARE_TIMEOUT_MS = 5_000;

/** Throws `usage`, `image-missing`, `image-unreadable`, `source-changed`, `tool-failed`, or the signal's reason. */
export async function openNbd(options: NbdClientOptions): Promise<NbdClient> {
  const first = await connect(options);
  const connections = [first];
  try {
    if (first.export.canMultiConn) connections.push(...(await connectSpares(options)));
    for (const connection of connections) {
      if (!isSame(connection.export, first.export)) throw exportDiffers(options.uri);
    }
  } catch (error) {
    await closeAll(connections);
    throw error;
  }
  return createClient(options.uri, connections, first.export);
}

function createClient(uri: string, connections: readonly NbdConnection[], opened: NbdExport): NbdClient {
  const { bytes, canMultiConn, minBlockBytes, maxReadBytes } = opened;
  const queue = createQueue(connections, NBD_REQUESTS_IN_FLIGHT);
  for (const { ended } of connections) {
    // Reads that were spread over all connections cannot end well any more.
    void ended.then(async (reason) => {
      queue.fail(reason);
      await closeAll(connections);
    });
  }
  const requestBytes = Math.max(
    minBlockBytes,
    roundDown(Math.min(NBD_REQUEST_BYTES, maxReadBytes), minBlockBytes),
  );
  const contexts = [...opened.contexts.values()];
  return {
    bytes,
    canMultiConn,
    connections: connections.length,
    minBlockBytes,
    maxReadBytes,
    contexts,
    read: async (destination, signal) => {
      const { offsetBytes, into } = destination;
      checkWithin({ offsetBytes, lengthBytes: into.length }, bytes);
      if (into.length === 0) return;
      await queue.run(
        createReadJob({ uri, exportBytes: bytes, minBlockBytes, requestBytes, destination }),
        signal,
      );
    },
    blockStatus: async ({ context, ...wanted }, signal) => {
      checkWithin(wanted, bytes);
      if (!contexts.includes(context)) throw contextAbsent(uri, { context, offered: contexts });
      if (wanted.lengthBytes === 0) throw new RangeError('block status of no bytes');
      const job = createStatusJob({ uri, exportBytes: bytes, minBlockBytes, context, wanted });
      return await queue.run(job, signal);
    },
    [Symbol.asyncDispose]: async () => {
      queue.fail(clientClosed(uri));
      await closeAll(connections);
    },
  };
}

function connect(options: NbdClientOptions): Promise<NbdConnection> {
  const { uri, contexts = [], tls = {}, requestTimeoutMs = NBD_REQUEST_TIMEOUT_MS, signal } = options;
  return NbdConnection.open({ uri: parseNbdUri(uri), contexts, tls, timeoutMs: requestTimeoutMs, signal });
}

/** Those that came about: a server may take no more, and the first connection does without them. */
async function connectSpares(options: NbdClientOptions): Promise<NbdConnection[]> {
  const { connections = NBD_CONNECTIONS, requestTimeoutMs = NBD_REQUEST_TIMEOUT_MS } = options;
  const timeout = AbortSignal.timeout(Math.min(requestTimeoutMs, SPARE_TIMEOUT_MS));
  const signal = AbortSignal.any([options.signal, timeout]);
  const attempts = Array.from({ length: connections - 1 }, () => connect({ ...options, signal }));
  const spares: NbdConnection[] = [];
  for (const outcome of await Promise.allSettled(attempts)) {
    if (outcome.status === 'fulfilled') spares.push(outcome.value);
  }
  if (!options.signal.aborted) return spares;
  await closeAll(spares);
  throw options.signal.reason;
}

async function closeAll(connections: readonly NbdConnection[]): Promise<void> {
  await Promise.all(connections.map((connection) => connection[Symbol.asyncDispose]()));
}

/** The ids of contexts are each connection's own. */
function isSame(one: NbdExport, other: NbdExport): boolean {
  const names = ({ contexts }: NbdExport): string => [...contexts.values()].sort().join('\n');
  return (
    one.bytes === other.bytes &&
    one.minBlockBytes === other.minBlockBytes &&
    one.maxReadBytes === other.maxReadBytes &&
    names(one) === names(other)
  );
}

function checkWithin({ offsetBytes, lengthBytes }: Span, exportBytes: number): void {
  if (offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= exportBytes) return;
  throw new RangeError(`${lengthBytes} bytes at offset ${offsetBytes} of an export of ${exportBytes}`);
}
