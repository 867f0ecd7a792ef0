/**
 * Azurite, Microsoft's own look-alike of Blob Storage, as a child: it holds the disks' page blobs.
 *
 * It keeps what it knows of its pages in memory and writes it out every five seconds and when it is asked to end. So it
 * is not killed with its owner but asked to end (SIGTERM at the parent's death), and whoever starts next waits until it
 * has: pages that were acknowledged survive a kill of the sandbox.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LandfallError } from '../../domain/errors.ts';
import { startTool } from '../../processes/child.ts';
import type { SandboxLog } from '../front.ts';

export type Azurite = AsyncDisposable & {
  port: number;
  /** Aborted when it ended by itself. */
  gone: AbortSignal;
};

export type AzuriteOptions = { folder: string; storageAccount: string; storageKey: string; log: SandboxLog };

const START_TIMEOUT_MS = 30_000;
/** Writing out what it knows of some large disks takes seconds. */
const STOP_GRACE_MS = 20_000;
const LOOK_MS = 50;
/**
 * A killed parent's threads die one by one, and the child hears of each. Azurite takes the first signal for an order to
 * end; the second one would end it while it writes. A signal that comes before it listens for one would be lost: so it
 * also looks after its parent.
 */
const ENDS_ONCE = `process.on('SIGTERM', () => {});
setInterval(() => process.ppid !== ${process.pid} && process.kill(process.pid, 'SIGTERM'), 1000).unref();`;
const ADDRESS = /successfully listens on http:\/\/127\.0\.0\.1:(\d+)/;

/** Throws `tool-missing` where the package is not installed, `tool-failed` where it does not start. */
export async function startAzurite(options: AzuriteOptions): Promise<Azurite> {
  const { folder, storageAccount, storageKey, log } = options;
  await mkdir(folder, { recursive: true });
  const pidFile = join(folder, 'azurite.pid');
  await awaitPredecessor(pidFile);
  const listening = Promise.withResolvers<number>();
  const tool = await startTool({
    command: 'setpriv',
    args: [
      ...[
        '--pdeathsig',
        'TERM',
        '--',
        process.execPath,
        '--import',
        `data:text/javascript,${encodeURIComponent(ENDS_ONCE)}`,
        findProgram(),
      ],
      ...[
        '--silent',
        '--disableTelemetry',
        '--skipApiVersionCheck',
        '--blobHost',
        '127.0.0.1',
        '--blobPort',
        '0',
        '--location',
        folder,
      ],
    ],
    cwd: folder,
    environment: { AZURITE_ACCOUNTS: `${storageAccount}:${storageKey}` },
    onLine: (line) => {
      const port = ADDRESS.exec(line)?.[1];
      if (port !== undefined) listening.resolve(Number(port));
    },
  });
  const gone = new AbortController();
  let isStopping = false;
  void tool.exited.then(({ stderr, stdout }) => {
    const said = (stderr || stdout).trim().split('\n').at(-1) ?? '';
    listening.reject(notStarted(said));
    if (!isStopping) log('error', `Azurite ended by itself: ${said}`);
    gone.abort();
  });
  const stop = async (): Promise<void> => {
    isStopping = true;
    await tool.stop(STOP_GRACE_MS);
    await rm(pidFile, { force: true });
  };
  const late = setTimeout(
    () => listening.reject(notStarted(`it did not listen within ${START_TIMEOUT_MS / 1000} s`)),
    START_TIMEOUT_MS,
  );
  try {
    await writeFile(pidFile, `${tool.pid}`);
    const port = await listening.promise;
    return { port, gone: gone.signal, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

/** The id may be another process's by now: it counts only where that one runs Azurite in this folder. */
async function awaitPredecessor(pidFile: string): Promise<void> {
  const pid = await readFile(pidFile, 'utf8').catch(() => null);
  if (pid === null) return;
  const deadline = performance.now() + STOP_GRACE_MS;
  while (await runsIn(pid, dirname(pidFile))) {
    if (performance.now() > deadline) {
      throw new LandfallError({
        code: 'conflict',
        message: `Starting the sandbox failed: the Azurite of an earlier one (process ${pid}) still has ${dirname(pidFile)}. End that process and start again.`,
      });
    }
    await wait(LOOK_MS);
  }
}

async function runsIn(pid: string, folder: string): Promise<boolean> {
  const command = await readFile(`/proc/${Number(pid)}/cmdline`, 'utf8').catch(() => '');
  return command.split('\0').includes(folder);
}

function findProgram(): string {
  try {
    const manifest = createRequire(import.meta.url).resolve('azurite/package.json');
    return join(dirname(manifest), 'dist/src/blob/main.js');
  } catch (error) {
    throw new LandfallError({
      code: 'tool-missing',
      message:
        'The Azure sandbox keeps its disks in Azurite, which is not installed. Run `npm install azurite` beside landfall.',
      cause: error,
    });
  }
}

function notStarted(said: string): LandfallError {
  return new LandfallError({
    code: 'tool-failed',
    message: `Azurite, which keeps the Azure sandbox's disks, did not start: ${said || 'it said nothing'}. Look at the sandbox's folder, and start it again.`,
  });
}
