/**
 * versitygw: an S3 server in Go, by Versity, over a folder. Strict with signatures, part sizes, conditional writes and
 * checksums, which it keeps for parts and for full objects.
 * https://github.com/versity/versitygw
 */
import { mkdir, rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { provideFolder } from '../estate/cached-folder.ts';
import { GO_ENVIRONMENT, provideGo } from './go.ts';
import { type PeerOptions, runRegistryTool } from './registry-tool.ts';
import { type RunningPeer, startPeer } from './running-peer.ts';

const VERSION = '1.8.0';
const MODULE = `github.com/versity/versitygw/cmd/versitygw@v${VERSION}`;
/** What its go.mod asks for. */
const OLDEST_GO = '1.25.0';

/** Builds it from the Go module proxy, once: about two minutes on two cores. Gives the program's path. */
export async function provideVersitygw(options: PeerOptions): Promise<string> {
  const { cacheFolder, signal, log } = options;
  const folder = join(cacheFolder, 'versitygw');
  await provideFolder({
    folder,
    recipe: `${MODULE} ${process.platform} ${process.arch}`,
    signal,
    build: async (partial) => {
      const go = await provideGo('versitygw', OLDEST_GO, options);
      log(`Building versitygw ${VERSION} from the Go module proxy.`);
      await buildIn(partial, { go, signal });
    },
  });
  log(`versitygw ${VERSION} is in ${folder}.`);
  return join(folder, 'versitygw');
}

/** `folder` is empty; what the server holds goes there. */
export async function startVersitygw(of: {
  program: string;
  folder: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  signal: AbortSignal;
}): Promise<RunningPeer> {
  const objects = join(of.folder, 'objects');
  // Beside the objects and not in their extended attributes: a temporary folder may be on a tmpfs without them.
  const metadata = join(of.folder, 'metadata');
  for (const each of [objects, metadata]) await mkdir(each, { recursive: true });
  return startPeer({
    name: 'versitygw',
    command: of.program,
    argsFor: (port) => [
      '--quiet',
      ...['--port', `127.0.0.1:${port}`, '--region', of.region, '--health', '/health'],
      ...['posix', '--sidecar', metadata, objects],
    ],
    environment: {
      ROOT_ACCESS_KEY: of.credentials.accessKeyId,
      ROOT_SECRET_KEY: of.credentials.secretAccessKey,
    },
    readyPath: '/health',
    signal: of.signal,
  });
}

async function buildIn(folder: string, { go, signal }: { go: string; signal: AbortSignal }): Promise<void> {
  const scratch = join(folder, 'build');
  await runRegistryTool('versitygw', {
    command: go,
    args: ['install', '-trimpath', '-ldflags=-s -w', '-p', String(Math.min(2, cpus().length)), MODULE],
    // Without C: no compiler is needed, and the program runs whatever becomes of the machine's libc.
    environment: {
      ...GO_ENVIRONMENT,
      CGO_ENABLED: '0',
      GOPATH: join(scratch, 'modules'),
      GOCACHE: join(scratch, 'cache'),
      GOBIN: folder,
    },
    signal,
  });
  await rm(scratch, { recursive: true, force: true });
}
