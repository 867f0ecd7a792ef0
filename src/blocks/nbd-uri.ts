/** NBD URIs: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md */
import { unusableUri } from './nbd-error.ts';
import { MAX_STRING_BYTES } from './nbd-protocol.ts';

export type NbdAddress =
  | { kind: 'unix'; socketPath: string }
  | {
      kind: 'tcp';
      host: string;
      port: number;
    };

export type NbdUri = {
  address: NbdAddress;
  exportName: string;
  isTls: boolean;
  /** Whom the server's certificate must name where it is not the host connected to. */
  tlsHostname: string | null;
  /** For messages. */
  text: string;
};

const DEFAULT_PORT = 10_809;
const SCHEME = /^nbds?(\+unix)?:$/;
const PARAMETERS = new Set(['socket', 'tls-hostname']);

/** Throws `usage`. */
export function parseNbdUri(text: string): NbdUri {
  const url = parse(text);
  const isUnix = url.protocol.endsWith('+unix:');
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.has(name)) throw unusableUri(text, `the parameter ${name} is not known here`);
  }
  const exportName = decode(text, url.pathname.replace(/^\//, ''));
  if (Buffer.byteLength(exportName) > MAX_STRING_BYTES) {
    throw unusableUri(text, `the export's name has more than ${MAX_STRING_BYTES} bytes`);
  }
  return {
    address: isUnix ? unixAddress(text, url) : tcpAddress(text, url),
    exportName,
    isTls: url.protocol.startsWith('nbds'),
    tlsHostname: url.searchParams.get('tls-hostname'),
    text,
  };
}

function parse(text: string): URL {
  if (!URL.canParse(text)) throw unusableUri(text, 'it is not a URI');
  const url = new URL(text);
  if (!SCHEME.test(url.protocol)) {
    throw unusableUri(text, `its scheme is ${url.protocol.slice(0, -1)}`);
  }
  return url;
}

function unixAddress(text: string, url: URL): NbdAddress {
  const socketPath = url.searchParams.get('socket');
  if (socketPath === null || socketPath === '') throw unusableUri(text, 'the parameter socket is missing');
  if (url.host !== '') throw unusableUri(text, 'it names both a host and a socket');
  return { kind: 'unix', socketPath };
}

function tcpAddress(text: string, url: URL): NbdAddress {
  if (url.hostname === '') throw unusableUri(text, 'the host is missing');
  if (url.searchParams.has('socket')) throw unusableUri(text, 'it names both a host and a socket');
  return {
    kind: 'tcp',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
  };
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw unusableUri(text, "the export's name is not encoded as URIs are");
  }
}
