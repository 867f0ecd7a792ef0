/** The socket under an NBD connection: unix or TCP, upgraded to TLS on the way where that is wanted. */
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { NbdAddress } from './nbd-uri.ts';

export type NbdTls = {
  /** PEM of whoever signed the server's certificate; the system's authorities where it is left out. */
  authority?: string;
  /** Our own certificate and its key, PEM, for servers that ask for one (qemu-nbd does, unless told otherwise). */
  certificate?: string;
  key?: string;
  /** Whom the server's certificate must name; the host of the URI where it is left out. */
  serverName?: string;
};

export type NbdSocketOptions = {
  address: NbdAddress;
  /** null: TLS is never started. */
  tls: NbdTls | null;
  /** The bytes are lent: they change when it has returned. */
  onBytes: (bytes: Uint8Array) => void;
};

export type NbdSocket = {
  /** Resolves once it is; a failure is told by `closed` alone. */
  connected: Promise<void>;
  /** Resolves when nothing comes any more, with the error that ended it. */
  closed: Promise<Error | null>;
  send(bytes: Uint8Array): void;
  /** Resolves once the other side has proven who it is; a failure is told by `closed` alone. */
  startTls(): Promise<void>;
  /** Sends what is left, then closes; after `END_TIMEOUT_MS` in any case. */
  end(): Promise<void>;
  destroy(): void;
};

/**
 * One buffer for each connection, used again for each read: new ones would be 2 GB/s of garbage. A unix socket holds
 * 208 KiB (net.core.wmem_default), so one read empties it; 128 KiB and 512 KiB were no faster.
 */
const RECEIVE_BYTES = 256 * 1024;
const END_TIMEOUT_MS = 1_000;
/** Links that a firewall forgets are noticed while a slow target keeps us from reading. */
const KEEP_ALIVE_MS = 60_000;

export function openSocket({ address, tls, onBytes }: NbdSocketOptions): NbdSocket {
  // Over TLS the bytes are decrypted into buffers of the TLS socket's own: there is nothing to reuse.
  const plain = tls === null ? connectReusing(address, onBytes) : connect(endpointOf(address));
  if (tls !== null) plain.on('data', onBytes);
  let socket: Socket = plain;
  const closed = whenClosed(plain);
  const connected = Promise.withResolvers<void>();
  plain.once('connect', () => {
    plain.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    connected.resolve();
  });
  return {
    connected: connected.promise,
    closed,
    send: (bytes) => void socket.write(bytes),
    startTls: async () => {
      plain.off('data', onBytes);
      socket = secure({ plain, address, tls: tls ?? {} });
      const secured = Promise.withResolvers<void>();
      socket.once('secureConnect', secured.resolve);
      await secured.promise;
      socket.on('data', onBytes);
    },
    end: async () => {
      const timer = setTimeout(() => socket.destroy(), END_TIMEOUT_MS);
      socket.end();
      await closed;
      clearTimeout(timer);
    },
    destroy: () => {
      socket.destroy();
      plain.destroy();
    },
  };
}

function connectReusing(address: NbdAddress, onBytes: (bytes: Uint8Array) => void): Socket {
  const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  const callback = (lengthBytes: number): boolean => {
    onBytes(buffer.subarray(0, lengthBytes));
    return true;
  };
  return connect({ ...endpointOf(address), onread: { buffer, callback } });
}

function endpointOf(address: NbdAddress): NetConnectOpts {
  return address.kind === 'unix' ? { path: address.socketPath } : { host: address.host, port: address.port };
}

function whenClosed(socket: Socket): Promise<Error | null> {
  const { promise, resolve } = Promise.withResolvers<Error | null>();
  let error: Error | null = null;
  socket.on('error', (reason) => {
    error = reason;
  });
  socket.once('close', () => resolve(error));
  return promise;
}

function secure(upgrade: { plain: Socket; address: NbdAddress; tls: NbdTls }): Socket {
  const { plain, address, tls } = upgrade;
  const host = tls.serverName ?? (address.kind === 'tcp' ? address.host : 'localhost');
  const socket = connectTls({
    socket: plain,
    host,
    // A name for the server to choose a certificate by may not be an address.
    servername: isIP(host) === 0 ? host : '',
    ...(tls.authority === undefined ? {} : { ca: tls.authority }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  });
  socket.on('error', (error) => plain.destroy(error));
  socket.once('close', () => plain.destroy());
  return socket;
}
