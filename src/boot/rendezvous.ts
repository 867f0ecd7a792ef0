/**
 * Where QEMU meets its owner: unix sockets that listen before QEMU starts and connects. They live in a folder of their
 * own under the OS temp folder, since a socket's path may have 108 bytes at most.
 */
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { makeScratchFolder } from '../processes/scratch-folder.ts';

/** Disposing stops to listen and removes the sockets; connections that were made live on. */
export type Rendezvous = AsyncDisposable & { qmp: Listener; serial: Listener };

export type Listener = {
  path: string;
  /** The first connection. Never rejects. */
  connected: Promise<Socket>;
};

export async function openRendezvous(): Promise<Rendezvous> {
  const folder = await makeScratchFolder('guest');
  const servers: Server[] = [];
  const dispose = async (): Promise<void> => {
    for (const server of servers) server.close();
    await rm(folder, { recursive: true, force: true });
  };
  const listen = async (path: string): Promise<Listener> => {
    // A QEMU that is killed before anyone reads from it resets its connection.
    const server = createServer((socket) => void socket.on('error', () => undefined));
    servers.push(server);
    const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    return { path, connected };
  };
  try {
    const qmp = await listen(join(folder, 'qmp'));
    const serial = await listen(join(folder, 'serial'));
    return { qmp, serial, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
