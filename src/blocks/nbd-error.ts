/**
 * What can go wrong with an NBD server, in the operator's terms. `uri` names the server and the export; it holds no
 * secrets.
 */
import { LandfallError } from '../domain/errors.ts';
import type { NbdViolation } from './nbd-protocol.ts';
import type { ReplyFailure, Span } from './nbd-replies.ts';

/** The only error numbers that the protocol knows; Linux's names. */
const ERRNO: Readonly<Record<number, { name: string; says: string }>> = {
  1: { name: 'EPERM', says: 'not permitted' },
  5: { name: 'EIO', says: 'input/output error' },
  12: { name: 'ENOMEM', says: 'out of memory' },
  22: { name: 'EINVAL', says: 'invalid request' },
  28: { name: 'ENOSPC', says: 'no space left' },
  75: { name: 'EOVERFLOW', says: 'request too large' },
  95: { name: 'ENOTSUP', says: 'not supported' },
  108: { name: 'ESHUTDOWN', says: 'the server is shutting down' },
};

const ESHUTDOWN = 108;

/** A bad sector that reads at the second try, memory that is free again, a server that is started anew. */
const PASSING = new Set(['EIO', 'ENOMEM', 'ESHUTDOWN']);

const MAX_SAID_CHARACTERS = 200;

/**
 * The server could not do this one request; the connection is as good as before (except after ESHUTDOWN). Whoever wants
 * to try again may ask for the same bytes again.
 */
export class NbdRequestError extends LandfallError {
  /** The first byte that is known not to be readable. */
  readonly offsetBytes: number;
  /** `EIO`, `ENOMEM`, … */
  readonly errno: string;

  constructor({ attempted, uri, asked, failure }: FailedRequest) {
    const offsetBytes = failure.offsetBytes ?? asked.offsetBytes;
    const { name, says } = errnoOf(failure.errorNumber);
    const said = failure.said === '' ? '' : ` ("${printable(failure.said)}")`;
    super({
      code: 'image-unreadable',
      message: `${attempted} of ${uri} failed at offset ${offsetBytes}: ${name}, ${says}${said}. Check the storage that the disk lies on and what its NBD server logs.`,
      retryable: PASSING.has(name),
      context: { uri, offsetBytes, errno: name },
    });
    this.offsetBytes = offsetBytes;
    this.errno = name;
  }
}

export type FailedRequest = { attempted: string; uri: string; asked: Span; failure: ReplyFailure };

/** "If the client receives an NBD_ESHUTDOWN error it MUST initiate a soft disconnect." */
export function isShutDown({ errorNumber }: ReplyFailure): boolean {
  return errorNumber === ESHUTDOWN;
}

export function unusableUri(uri: string, why: string): LandfallError {
  return new LandfallError({
    code: 'usage',
    message: `${uri} does not name an NBD export: ${why}. Write nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH, with nbds for TLS.`,
    context: { uri },
  });
}

/** Connecting failed; `context.errno` tells how (`ENOENT` and `ECONNREFUSED`: nobody listens, or not yet). */
export function unreachable(uri: string, cause: Error | null): LandfallError {
  const message = `Connecting to the NBD server of ${uri} failed: ${cause?.message ?? 'it hung up'}. Check that it runs, and its firewall where it is another host.`;
  return gone(uri, { message, cause });
}

export function connectionLost(uri: string, lost: { inFlight: number; cause: Error | null }): LandfallError {
  const { inFlight, cause } = lost;
  const how = cause === null ? 'ended the connection' : `was lost (${cause.message})`;
  const message = `The NBD server of ${uri} ${how} with ${inFlight} requests unanswered. See in its log why it ended; the read can be tried again once it runs.`;
  return gone(uri, { message, cause });
}

/** While options are negotiated. */
export function hungUp(uri: string, cause: Error | null): LandfallError {
  const how = cause === null ? '' : ` (${cause.message})`;
  const message = `The NBD server of ${uri} hung up before the export was open${how}. See in its log why: it may refuse the export's name, this client, or ask for TLS.`;
  return gone(uri, { message, cause });
}

export function serverSilent(uri: string, { timeoutMs, doing }: { timeoutMs: number; doing: string }) {
  return gone(uri, {
    message: `The NBD server of ${uri} sent nothing for ${timeoutMs / 1000} s while ${doing}. Check the server and the storage it reads; one that has as many clients as it takes lets others wait.`,
  });
}

export function shuttingDown(uri: string): LandfallError {
  return gone(uri, {
    message: `The NBD server of ${uri} is shutting down. Start it again; the read can then be tried again.`,
  });
}

export function brokeProtocol(uri: string, violation: NbdViolation): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `The NBD server of ${uri} broke the protocol: ${violation.message}. None of what it sends can be trusted: use another server, or report this to its makers.`,
    cause: violation,
    context: { uri },
  });
}

export function refusedExport(uri: string, refusal: { exportName: string; said: string }): LandfallError {
  const said = refusal.said === '' ? '' : ` ("${printable(refusal.said)}")`;
  return new LandfallError({
    code: 'image-missing',
    message: `The NBD server of ${uri} has no export "${printable(refusal.exportName)}"${said}. List what it has with \`nbdinfo --list\`.`,
    context: { uri },
  });
}

export function refusedOption(
  uri: string,
  refusal: { asked: string; why: string; said: string; remedy: string },
) {
  const { asked, why, said, remedy } = refusal;
  return new LandfallError({
    code: 'image-unreadable',
    message: `The NBD server of ${uri} refused ${asked}: ${said === '' ? why : `${why} ("${printable(said)}")`}. ${remedy}`,
    context: { uri },
  });
}

export function tlsFailed(uri: string, cause: Error | null): LandfallError {
  return new LandfallError({
    code: 'image-unreadable',
    message: `TLS with the NBD server of ${uri} failed: ${cause?.message ?? 'it hung up'}. Check that its certificate is signed by the authority given, names this host, and that our own certificate is one it takes.`,
    cause,
    context: { uri, errno: errnoIn(cause) },
  });
}

export function contextAbsent(
  uri: string,
  { context, offered }: { context: string; offered: readonly string[] },
) {
  const has = offered.length === 0 ? 'none at all' : offered.join(', ');
  return new LandfallError({
    code: 'image-unreadable',
    message: `The NBD server of ${uri} gives no block status for ${context} (of those asked for it has ${has}). Serve the disk with qemu-nbd or nbdkit, a dirty bitmap with \`qemu-nbd --bitmap\`.`,
    context: { uri, metaContext: context },
  });
}

export function clientClosed(uri: string): LandfallError {
  return new LandfallError({
    code: 'cancelled',
    message: `The connection to the NBD server of ${uri} was closed by us: nothing more can be read over it.`,
    context: { uri },
  });
}

export function exportDiffers(uri: string): LandfallError {
  return new LandfallError({
    code: 'source-changed',
    message: `The NBD server of ${uri} shows another disk on each connection (size, limits or contexts differ). Leave the server as it is until the machine has landed.`,
    context: { uri },
  });
}

/** It may be back at the next try. */
function gone(
  uri: string,
  { message, cause = null }: { message: string; cause?: Error | null },
): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message,
    retryable: true,
    ...(cause === null ? {} : { cause }),
    context: { uri, errno: errnoIn(cause) },
  });
}

function errnoIn(error: Error | null): string | null {
  return error !== null && 'code' in error ? String(error.code) : null;
}

function errnoOf(errorNumber: number): { name: string; says: string } {
  return ERRNO[errorNumber] ?? { name: `E${errorNumber}`, says: 'an error that the protocol does not know' };
}

/** What a server says goes to terminals and logs. */
function printable(text: string): string {
  return text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, ' ').slice(0, MAX_SAID_CHARACTERS);
}
