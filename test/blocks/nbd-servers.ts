/** Real NBD servers for tests, on sockets of their own, ended with their owner. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openNbd } from '../../src/blocks/nbd-client.ts';
import { LandfallError } from '../../src/domain/errors.ts';
import { type RunningTool, startTool } from '../../src/processes/child.ts';

export type NbdFolder = AsyncDisposable & {
  join(name: string): string;
  /** `args` end with the image. */
  serveByQemu(args: readonly string[]): Promise<string>;
  serveByNbdkit(args: readonly string[]): Promise<string>;
  /** Debian's nbd-server, with the file as the export "disk", for one client: else it would leave us for the background. */
  serveByNbdServer(path: string): Promise<string>;
  /** Any server that listens on a socket of the given path. */
  serve(start: {
    command: string;
    args: (socketPath: string) => readonly string[];
    isTls?: boolean;
  }): Promise<string>;
};

const START_TIMEOUT_MS = 20_000;

export async function openNbdFolder(): Promise<NbdFolder> {
  const path = await mkdtemp(join(tmpdir(), 'landfall-test-nbd-'));
  const servers: RunningTool[] = [];
  const inFolder = (name: string): string => join(path, name);
  const start = async (command: string, args: readonly string[]): Promise<RunningTool> => {
    const server = await startTool({ command, args });
    servers.push(server);
    return server;
  };
  const serve: NbdFolder['serve'] = async ({ command, args, isTls = false }) => {
    const socketPath = inFolder(`s${servers.length}`);
    const server = await start(command, args(socketPath));
    const uri = `nbd${isTls ? 's' : ''}+unix:///?socket=${encodeURIComponent(socketPath)}`;
    await untilServing(uri, server);
    return uri;
  };
  return {
    join: inFolder,
    serve,
    serveByQemu: (args) =>
      serve({ command: 'qemu-nbd', args: (socket) => ['-r', '-t', '-e', '8', '-k', socket, ...args] }),
    serveByNbdkit: (args) =>
      serve({ command: 'nbdkit', args: (socket) => ['-f', '-r', '-U', socket, ...args] }),
    serveByNbdServer: async (file) => {
      const port = await freePort();
      const config = inFolder(`nbd-server-${port}.conf`);
      const sections = [
        ['[generic]', 'listenaddr = 127.0.0.1', `port = ${port}`],
        ['[disk]', `exportname = ${file}`, 'readonly = true'],
      ];
      await writeFile(config, `${sections.flat().join('\n')}\n`);
      const server = await start('nbd-server', ['-d', '-C', config]);
      await untilListening(port, server);
      return `nbd://127.0.0.1:${port}/disk`;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(servers.map((server) => server.stop()));
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** A server that answers, with whatever refusal, serves. */
async function untilServing(uri: string, server: RunningTool): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const failure = await openNbd({
      uri,
      connections: 1,
      signal: AbortSignal.timeout(START_TIMEOUT_MS),
    }).then(
      async (client) => void (await client[Symbol.asyncDispose]()),
      (error: unknown) => error,
    );
    const errno = failure instanceof LandfallError ? failure.context.errno : undefined;
    if (errno !== 'ENOENT' && errno !== 'ECONNREFUSED') return;
    const ended = await Promise.race([server.exited, sleep(10, null)]);
    if (ended !== null) throw new Error(`the server ended: ${ended.stderr}`);
    if (performance.now() > deadline) throw new Error(`no server at ${uri}`);
  }
}

/** Without connecting to it. */
async function untilListening(port: number, server: RunningTool): Promise<void> {
  const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A `);
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!listening.test(await readFile('/proc/net/tcp', 'latin1'))) {
    const ended = await Promise.race([server.exited, sleep(10, null)]);
    if (ended !== null) throw new Error(`the server ended: ${ended.stderr}`);
    if (performance.now() > deadline) throw new Error(`no server at port ${port}`);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  return address.port;
}
