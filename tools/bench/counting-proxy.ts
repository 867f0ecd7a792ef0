/** Stands between a worker and the cloud, and counts what the worker sends: also what never became part of anything. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type CountingProxy = AsyncDisposable & {
  url: string;
  /** From all clients, headers too. */
  sentBytes(): number;
  /** Resolves when the next PUT begins to arrive, which is a part or a block. */
  nextPut(signal: AbortSignal): Promise<void>;
};

const HOST = '127.0.0.1';
const PUT = Buffer.from('PUT /');

export async function openCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const waiting: (() => void)[] = [];
  let sentBytes = 0;
  const own = (socket: Socket): Socket => {
    sockets.add(socket);
    // A worker is killed in the middle of what it sends.
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer({ noDelay: true }, (client) => {
    const cloud = own(connect({ host: hostname, port: Number(port), noDelay: true }));
    own(client).on('data', (bytes: Buffer) => {
      sentBytes += bytes.length;
      if (waiting.length === 0 || !bytes.subarray(0, PUT.length).equals(PUT)) return;
      for (const resolve of waiting.splice(0)) resolve();
    });
    client.pipe(cloud).pipe(client);
    client.on('close', () => cloud.destroy());
    cloud.on('close', () => client.destroy());
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}`,
    sentBytes: () => sentBytes,
    nextPut: (signal) =>
      new Promise((resolve, reject) => {
        const abort = (): void => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        waiting.push(() => {
          signal.removeEventListener('abort', abort);
          resolve();
        });
      }),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
