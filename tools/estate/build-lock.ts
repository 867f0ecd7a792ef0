/**
 * One builder at a time per folder, across processes. The lock is an abstract unix socket: the kernel gives it back
 * when its holder ends, however it ends, so a lock is never stale and waiting needs no polling.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { resolve } from 'node:path';
import { untilAborted } from '../../src/boot/until-aborted.ts';

/** Waits until no other builder holds the folder. Disposing lets the next one in. */
export async function lockFolder(folder: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  const path = `\0landfall-build-${createHash('sha256').update(resolve(folder)).digest('hex')}`;
  for (;;) {
    signal?.throwIfAborted();
    const lock = await tryListen(path);
    if (lock !== null) return lock;
    await untilReleased(path, signal);
  }
}

/** null when another holds the lock. */
async function tryListen(path: string): Promise<AsyncDisposable | null> {
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    waiting.add(socket);
    socket.on('error', () => undefined).on('close', () => waiting.delete(socket));
  });
  try {
    await listen(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return null;
    throw error;
  }
  const release = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of waiting) socket.destroy();
    await closed;
  };
  return { [Symbol.asyncDispose]: release };
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((done, reject) => server.once('error', reject).listen(path, done));
}

/** The holder never answers: the connection ends, in an error or not, when the lock does. */
async function untilReleased(path: string, signal: AbortSignal | undefined): Promise<void> {
  const socket = connect(path);
  socket.on('error', () => undefined).resume();
  try {
    await untilAborted(new Promise((done) => socket.on('close', done)), signal);
  } finally {
    socket.destroy();
  }
}
