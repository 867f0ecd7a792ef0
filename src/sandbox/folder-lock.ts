/** One sandbox per folder: two would overwrite each other's state. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { LandfallError } from '../domain/errors.ts';

/**
 * Held through a listening socket of the kernel's abstract namespace: it ends with its process, however that ends, so
 * there is no stale lock to judge. Throws `conflict` where another sandbox has the folder.
 */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const name = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex');
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen({ path: `\0landfall-sandbox-${name}` });
    await once(server, 'listening');
  } catch (error) {
    throw new LandfallError({
      code: 'conflict',
      message: `Starting a sandbox in ${folder} failed: another sandbox is using that folder. Stop it, or give another folder.`,
      cause: error,
    });
  }
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
