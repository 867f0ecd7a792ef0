/**
 * Images on libvirt's own host, over ssh. A qemu-nbd there serves one disk to one session: its socket comes here through
 * that session, and it ends with it. Headers are judged here, from bytes that are served as they are.
 */
import { createHash } from 'node:crypto';
import { openNbd } from '../../../src/blocks/nbd-client.ts';
import { LandfallError } from '../../../src/domain/errors.ts';
import type { OpenImage } from '../../../src/domain/image.ts';
import { describeToQemu } from '../../../src/images/block-description.ts';
import { qemuFailure } from '../../../src/images/qemu-failure.ts';
import { COPY_AGAIN, corruptImage, missingImage, unreadableImage } from '../../../src/images/refusal.ts';
import type { BytesAt, SliceReader } from '../../../src/images/slice-reader.ts';
import type { ChainFile, ImagePlace } from './image-place.ts';
import { describeChain, serveChain } from './nbd-server.ts';
import { explainSsh, remoteFolderName, runThere, type SshHost, startThere } from './ssh.ts';

/** ssh has its handshake first, and tables are read over the line. */
const START_TIMEOUT_MS = 90_000;
const BATCH_BYTES = 1024 * 1024;

/**
 * $1: folder to make, $2: what to serve. A session that ended is noticed by its closed output, within a second; `wait` for
 * the child leaves nothing of it behind. 12 GiB: as local-images.ts.
 */
const SERVE = `
umask 077
trap '' PIPE
command -v qemu-nbd >/dev/null || { echo "qemu-nbd is not installed on $(hostname)" >&2; exit 69; }
mkdir -- "$1" || exit 1
ulimit -v 12582912 2>/dev/null
MALLOC_ARENA_MAX=2 LC_ALL=C qemu-nbd --read-only --persistent --shared=8 --socket="$1/nbd" "$2" </dev/null >&2 &
n=$!
end() { kill "$n" 2>/dev/null; wait "$n" 2>/dev/null; s=$?; rm -rf -- "$1"; exit "$s"; }
trap 'end "$1"' HUP INT TERM
while kill -0 "$n" 2>/dev/null; do
  if [ -S "$1/nbd" ]; then echo ready; else echo; fi || end "$1"
  if [ -S "$1/nbd" ]; then sleep 1; else sleep 0.05; fi
done
end "$1"
`;
const STATS = `LC_ALL=C stat -L --format='%i:%s:%.9Y:%.9Z:%F' -- "$@"`;

export function createRemoteImages(host: SshHost): ImagePlace {
  return {
    isHere: false,
    openFile: (path, signal) => openFile(host, path, signal),
    resolveLinks: async (path, signal) => {
      const attempted = `Looking for ${path}`;
      const { exitCode, stdout } = await runThere(host, 'readlink -e -- "$1"', {
        args: [path],
        attempted,
        signal,
      });
      return exitCode === 0 ? stdout : path;
    },
    fingerprint: async (chain) => {
      const paths = chain.map(({ path }) => path);
      const stats = await readStats(host, paths);
      return `remote:${createHash('sha256').update(stats).digest('hex')}`;
    },
    serve: (_image, chain, signal) => serve(host, chain, signal),
  };
}

async function serve(host: SshHost, chain: readonly ChainFile[], signal: AbortSignal): Promise<OpenImage> {
  const label = chain[0]?.path ?? '';
  const attempted = `Opening ${label}`;
  const folder = remoteFolderName();
  return await serveChain({
    label,
    start: async (localSocket) => {
      const args = [folder, describeToQemu(describeChain(chain))];
      const remoteSocket = `${folder}/nbd`;
      const { server, ready } = await startThere(host, SERVE, { args, localSocket, remoteSocket, signal });
      await Promise.race([ready, server.exited]);
      return server;
    },
    explain: (ended) =>
      explainSsh(host, attempted, ended) ??
      qemuFailure({ attempted: `${attempted} at ${host.uri} failed`, command: 'qemu-nbd', ...ended }),
    startTimeoutMs: START_TIMEOUT_MS,
    signal,
  });
}

async function openFile(host: SshHost, path: string, signal: AbortSignal): Promise<SliceReader> {
  const [, lengthBytes = '', , , kind = ''] = (await readStats(host, [path], signal)).split(':');
  if (!kind.startsWith('regular')) {
    throw unreadableImage({ label: path, found: `it is a ${kind}`, remedy: 'Name a disk image file.' });
  }
  await using owned = new AsyncDisposableStack();
  const { uri } = owned.use(await serve(host, [{ path, format: 'raw' }], signal));
  const client = owned.use(await openNbd({ uri, connections: 1, signal }));
  const length = Number(lengthBytes);
  const expect = (wanted: BytesAt) => expectWithin(wanted, { path, lengthBytes: length });
  const read = async (wanted: BytesAt): Promise<Buffer> => {
    expect(wanted);
    const into = Buffer.alloc(wanted.lengthBytes);
    if (into.length > 0) await client.read({ offsetBytes: wanted.offsetBytes, into }, signal);
    return into;
  };
  const kept = owned.move();
  return {
    label: path,
    path,
    lengthBytes: length,
    read,
    expect,
    readInBatches: async function* (wanted) {
      expect(wanted);
      for (let done = 0; done < wanted.lengthBytes; done += BATCH_BYTES) {
        const batchBytes = Math.min(BATCH_BYTES, wanted.lengthBytes - done);
        yield await read({ ...wanted, offsetBytes: wanted.offsetBytes + done, lengthBytes: batchBytes });
      }
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** One line for each file. Without a signal it is a fingerprint that is taken, and what is gone was there before. */
async function readStats(host: SshHost, paths: readonly string[], signal?: AbortSignal): Promise<string> {
  const attempted = `Looking at ${paths[0]}`;
  const { exitCode, stdout, stderr } = await runThere(host, STATS, { args: paths, attempted, signal });
  if (exitCode === 0) return stdout;
  const isGone = /No such file|Not a directory/.test(stderr);
  if (signal === undefined && isGone) {
    throw new LandfallError({
      code: 'source-changed',
      message: `An image at ${host.uri} is gone since the migration began: ${stderr}. Bring it back as it was, or start the machine again from its new place.`,
      context: { path: paths[0] ?? null },
    });
  }
  const refusal = { label: paths[0] ?? '', found: `at ${host.uri}: ${stderr}` };
  if (isGone) throw missingImage({ ...refusal, remedy: 'Check the disk of the domain.' });
  throw unreadableImage({ ...refusal, remedy: 'Let the user of the URI read it, or connect as root.' });
}

function expectWithin(wanted: BytesAt, { path, lengthBytes }: { path: string; lengthBytes: number }): void {
  const endBytes = wanted.offsetBytes + wanted.lengthBytes;
  if (Number.isSafeInteger(endBytes) && wanted.offsetBytes >= 0 && endBytes <= lengthBytes) return;
  throw corruptImage({
    label: path,
    found: `it is cut off or damaged: it has ${lengthBytes} bytes, and ${wanted.what} should reach to byte ${endBytes}`,
    remedy: COPY_AGAIN,
  });
}
